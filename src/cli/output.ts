import type { EventView, TimelineView, WorkspaceView } from '../protocol/api.ts';
import { plainText } from '../protocol/text.ts';
import { formatDuration } from '../protocol/units.ts';
import { describeWorkspace } from './describe.ts';

/** What a row has under each heading. */
export type Columns<Row> = Readonly<Record<string, (row: Row) => string | number | null>>;

/** These under headings, a line each, columns aligned; `-` where there is nothing. */
export function table<Row>(rows: readonly Row[], columns: Columns<Row>): string {
  if (rows.length === 0) return 'none\n';
  const cells = rows.map(row => Object.values(columns).map(cell => String(cell(row) ?? '-')));
  const all = [Object.keys(columns), ...cells];
  const widths = Object.keys(columns).map((_, at) => Math.max(...all.map(row => (row[at] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return `${all.map(line).join('\n')}\n`;
}

/** The VMs of a workspace, a line each. */
export function vmTable(workspace: WorkspaceView, vms = workspace.vms): string {
  return table(vms, {
    VM: vm => vm.name,
    STATE: vm => vm.state,
    CONTEXT: vm => vm.context,
    NODE: vm => vm.node,
    ADDRESSES: vm => vm.addresses.map(nic => `${nic.network}=${nic.address}`).join(' ') || null,
    WHY: vm => vm.reason?.message ?? '',
  });
}

/** `wsp show` for people. */
export function workspaceText(workspace: WorkspaceView, vms = workspace.vms): string {
  return `${workspace.name} (${workspace.id}), ${workspace.state}, owner ${workspace.owner}
${describeWorkspace(workspace)}

${vmTable(workspace, vms)}`;
}

/** One line of `wsp events`. */
export function eventText(event: EventView): string {
  const subject = [event.vm ?? event.workspace, event.node].filter(Boolean).join(' on ') || event.slot || '';
  return `${event.at}  ${event.type.padEnd(20)}  ${subject}${event.reason === null ? '' : `  (${event.reason.message})`}`;
}

/** `wsp timeline` for people: the paper's breakdown. */
export function timelineText(timeline: TimelineView): string {
  return table(timeline.hops, {
    HOP: ({ hop }) => hop,
    TOOK: ({ durationMs }) => (durationMs === null ? 'goes on' : formatDuration(durationMs)),
    FROM: hop => hop.startedAt,
    WHAT: hop => hop.meaning,
  });
}

/** One line for each VM, rewritten in place; nothing when standard error is no terminal. */
export function progressLines(): (workspace: WorkspaceView) => void {
  let height = 0;
  return workspace => {
    if (!process.stderr.isTTY) return;
    const lines = [
      `${workspace.name}: ${describeWorkspace(workspace)}`,
      ...workspace.vms.map(({ name, state, context }) => {
        const how = context === 'none' ? '' : `context ${context}`;
        return `  ${name.padEnd(20)} ${state.padEnd(12)} ${how}`;
      }),
    ].map(line => `\x1b[2K${plainText(line).slice(0, process.stderr.columns)}\n`);
    process.stderr.write(`${height > 0 ? `\x1b[${height}A` : ''}${lines.join('')}`);
    height = lines.length;
  };
}
