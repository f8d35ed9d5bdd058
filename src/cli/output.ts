import type { EventView, TimelineView, WorkspaceView } from '../protocol/api.ts';
import { plainText } from '../protocol/text.ts';
import { formatDuration } from '../protocol/units.ts';
import { describeWorkspace } from './describe.ts';

/** Rows under headings, columns aligned, no borders. Empty: one line that says so. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return 'none\n';
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map(row => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return `${all.map(line).join('\n')}\n`;
}

/** The VMs of a workspace, a line each. */
export function vmTable(workspace: WorkspaceView, vms = workspace.vms): string {
  const rows = vms.map(vm => [
    vm.name,
    vm.state,
    vm.context,
    vm.node ?? '-',
    vm.addresses.map(nic => `${nic.network}=${nic.address}`).join(' ') || '-',
    vm.reason?.message ?? '',
  ]);
  return table(['VM', 'STATE', 'CONTEXT', 'NODE', 'ADDRESSES', 'WHY'], rows);
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
  return table(
    ['HOP', 'TOOK', 'FROM', 'WHAT'],
    timeline.hops.map(hop => [
      hop.hop,
      hop.durationMs === null ? 'goes on' : formatDuration(hop.durationMs),
      hop.startedAt,
      hop.meaning,
    ]),
  );
}

/** One line for each VM, rewritten in place; nothing when standard error is no terminal. */
export function progressLines(): { show(workspace: WorkspaceView): void } {
  let height = 0;
  return {
    show(workspace) {
      if (!process.stderr.isTTY) return;
      const lines = [
        `${workspace.name}: ${describeWorkspace(workspace)}`,
        ...workspace.vms.map(
          vm =>
            `  ${vm.name.padEnd(20)} ${vm.state.padEnd(12)} ${vm.context === 'none' ? '' : `context ${vm.context}`}`,
        ),
      ];
      process.stderr.write(
        `${height > 0 ? `\x1b[${height}A` : ''}${lines.map(line => `\x1b[2K${plainText(line).slice(0, process.stderr.columns)}\n`).join('')}`,
      );
      height = lines.length;
    },
  };
}
