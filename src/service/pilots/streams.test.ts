import { PassThrough } from 'node:stream';
import { beforeEach, expect, it } from 'vitest';
import { countingRandom } from '../../../test/support/engine.ts';
import { createVirtualClock, type VirtualClock } from '../../platform/virtual-clock.ts';
import type { ServiceMessage } from '../../protocol/pilot.ts';
import { StreamWaitingRoom } from './streams.ts';

const target = { kind: 'console', vmId: 'ws-aaaaaaaaaa.w-0' } as const;
let clock: VirtualClock;
let sent: ServiceMessage[];
let room: StreamWaitingRoom;
beforeEach(() => {
  clock = createVirtualClock(0);
  sent = [];
  room = new StreamWaitingRoom(clock, countingRandom());
});

/** What has become of it, and the id that the pilot was told. */
function open(slotId = 'slot-a', node = 'n0') {
  const opened = room.open(slotId, node, target, message => sent.push(message));
  const message = sent.at(-1);
  const outcome = opened.then(
    stream => stream,
    (cause: { readonly code: string; readonly message: string }) => `${cause.code}: ${cause.message}`,
  );
  return { outcome, streamId: message?.type === 'open-stream' ? message.streamId : '' };
}

it('a stream is asked for under a name that nobody can guess, and is who brings it under that', async () => {
  const [one, two] = [open(), open()];
  expect(sent).toEqual([one, two].map(({ streamId }) => ({ type: 'open-stream', streamId, target })));
  expect(one.streamId).toMatch(/^[\w-]{22}$/);
  expect(one.streamId).not.toBe(two.streamId);
  const stream = new PassThrough();
  expect([room.accept('slot-b', two.streamId, stream), room.accept('slot-a', 'x', stream)]).toEqual([
    false,
    false,
  ]);
  expect(room.accept('slot-a', two.streamId, stream)).toBe(true);
  expect(await two.outcome).toBe(stream);
  expect(room.accept('slot-a', two.streamId, stream)).toBe(false);
  expect(room.accept('slot-a', one.streamId, stream)).toBe(true);
  expect(clock.nextAt()).toBeUndefined();
});

it('a stream is refused by the pilot that was asked, in its words', async () => {
  const { outcome, streamId } = open();
  room.refused('slot-b', streamId, 'no');
  room.refused('slot-a', 'x', 'no');
  room.refused('slot-a', streamId, 'no such VM');
  expect([await outcome, clock.nextAt()]).toEqual(['unreachable: no such VM', undefined]);
});

it('a stream is waited for ten seconds', async () => {
  const { outcome, streamId } = open();
  await clock.advanceTo(9_999);
  expect(clock.nextAt()).toBe(10_000);
  await clock.advanceTo(10_000);
  expect(await outcome).toBe('timeout: the pilot on n0 did not open the stream within 10s');
  expect(room.accept('slot-a', streamId, new PassThrough())).toBe(false);
});

it('streams of a pilot that has gone do not come; those of others do', async () => {
  const [gone, sameNode, sameSlot] = [open(), open('slot-b', 'n0'), open('slot-a', 'n1')];
  room.pilotGone('slot-a', 'n0');
  expect(await gone.outcome).toBe('unreachable: the connection to the pilot on n0 was lost');
  const stream = new PassThrough();
  expect(room.accept('slot-b', sameNode.streamId, stream)).toBe(true);
  expect(room.accept('slot-a', sameSlot.streamId, stream)).toBe(true);
});

it('so many streams are opened at once, and others when one of them is', async () => {
  const all = Array.from({ length: 256 }, () => open());
  expect(await open().outcome).toMatch(/^busy: /);
  expect(sent).toHaveLength(256);
  room.refused('slot-a', all[0]?.streamId ?? '', 'no');
  open();
  expect(sent).toHaveLength(257);
  room.pilotGone('slot-a', 'n0');
});
