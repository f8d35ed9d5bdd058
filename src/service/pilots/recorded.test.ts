import { Compile } from 'typebox/compile';
import { expect, it } from 'vitest';
import { EngineBench, FakePilot, must } from '../../../test/support/engine.ts';
import { recorded } from '../../../test/support/recorded.ts';
import { PilotMessage } from '../../protocol/pilot.schemas.ts';

/** What the pilot sent is what a pilot of the version before sends: its jobs may wait for days. */
it('a pilot of protocol 1 is served: it hears in the same order what the service told it then', async () => {
  const bench = new EngineBench({ shutdownGraceMs: 5_000 });
  try {
    const workspace = await bench.create();
    const vmId = `${workspace.id}.w-0`;
    const lines = recorded<'pilot' | 'service'>('pilot-1.jsonl', {
      'ws-dy2ahlzpgd.vm-0': vmId,
      'slot-d2dmvif743': workspace.slotId,
      '"n01"': '"n0"',
      ':n01:': ':n0:',
    });
    const pilot = new FakePilot(bench.engine, workspace.slotId, 'n0');
    const message = Compile(PilotMessage);
    for (const { from, message: said } of lines) {
      if (said['key'] === `stop:${workspace.slotId}:${vmId}` && from === 'service')
        await bench.engine.workspaces.destroy(workspace.id, 'ann');
      else if (from === 'pilot') pilot.session.received(message.Parse(said));
      await bench.settle();
    }
    const told = lines.filter(({ from }) => from === 'service').map(line => line.message);
    for (const type of ['welcome', 'command', 'ack'])
      expect(pilot.heard.filter(each => each.type === type)).toMatchObject(
        // How much of it had been stored when the welcome was said, and when, is the moment's.
        told.filter(each => each.type === type).map(each => (type === 'welcome' ? { type } : each)),
      );
    expect(pilot.heard.map(({ type }) => type).filter(type => type !== 'ack')).toEqual(
      told.map(({ type }) => type).filter(type => type !== 'ack'),
    );
    pilot.session.closed();
    const { lrmJobId } = must(bench.engine.state.slots.get(workspace.slotId));
    bench.lrm.change(lrmJobId ?? '', { state: 'completed' });
    await bench.advance(2_000);
    expect(bench.engine.state.workspaces.get(workspace.id)).toMatchObject({
      state: 'ended',
      cause: 'destroyed',
    });
  } finally {
    await bench.close();
  }
});
