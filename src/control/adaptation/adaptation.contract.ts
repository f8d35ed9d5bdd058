import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeAdaptation } from './adaptation.ts';

/** A node with adaptations to try on it. */
export interface AdaptedNode {
  /** The adaptation of a slot of that name. */
  of(slot: string): NodeAdaptation;
  /** Everything of the node that an adaptation might change, as text. */
  snapshot(): Promise<string>;
  /** The slots that the node holds something for. */
  reservedFor(): Promise<readonly string[]>;
  remove(): Promise<void>;
}

/** How the node is to be tried. */
export interface AdaptationUnderTest {
  make(): Promise<AdaptedNode>;
  /** What each slot takes. The node has three times as much, and not a hundred times. */
  readonly memoryMiB: number;
  readonly cpus: number;
  /** Whether anything is taken at all: `none` takes nothing, and so is never refused. */
  readonly takes: boolean;
}

/** What every way of adapting a node must do. */
export function adaptationContract(kind: string, under: AdaptationUnderTest): void {
  const { memoryMiB, cpus, takes } = under;

  describe(`the node adaptation ${kind}`, () => {
    let node: AdaptedNode;
    let before: string;
    beforeEach(async () => {
      node = await under.make();
      before = await node.snapshot();
    });
    afterEach(() => node.remove());

    const expectAsBefore = async (): Promise<void> => {
      expect(await node.snapshot()).toBe(before);
      expect(await node.reservedFor()).toEqual([]);
    };

    it('restores the exact state, twice in a row', async () => {
      const slot = node.of('one');
      for (let round = 0; round < 2; round += 1) {
        await slot.reserve(memoryMiB, cpus);
        expect(await node.reservedFor()).toEqual(takes ? ['one'] : []);
        await slot.restore();
        await expectAsBefore();
      }
    });

    it('takes nothing more when it is asked again, and gives back once', async () => {
      const slot = node.of('one');
      await slot.reserve(memoryMiB, cpus);
      const reserved = await node.snapshot();
      await slot.reserve(memoryMiB, cpus);
      expect(await node.snapshot()).toBe(reserved);
      await slot.restore();
      await slot.restore();
      await expectAsBefore();
    });

    it('restores without a reserve', async () => {
      await node.of('one').restore();
      await expectAsBefore();
    });

    it('leaves other slots on the node alone, in whatever order they come and go', async () => {
      const [one, two, three] = [node.of('one'), node.of('two'), node.of('three')];
      await Promise.all([one.reserve(memoryMiB, cpus), two.reserve(memoryMiB, cpus)]);
      await one.restore();
      expect(await node.reservedFor()).toEqual(takes ? ['two'] : []);
      await three.reserve(memoryMiB, cpus);
      await Promise.all([two.restore(), three.restore()]);
      await expectAsBefore();
    });

    it('undoes a reserve that is still under way', async () => {
      const slot = node.of('one');
      const reserving = slot.reserve(memoryMiB, cpus).catch(() => undefined);
      await slot.restore();
      await reserving;
      await expectAsBefore();
    });

    if (!takes) return;
    it('refuses what the node does not have, and changes nothing then', async () => {
      const slot = node.of('one');
      await expect(slot.reserve(100 * memoryMiB, cpus)).rejects.toMatchObject({ name: 'ControlError' });
      await slot.restore();
      await expectAsBefore();
    });
  });
}
