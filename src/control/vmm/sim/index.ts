import type { EntryOf, SectionKit } from '../../../protocol/section.ts';
import type { VmmKind } from '../kind.ts';
import { createSimVmm, type SimSettings, simTraits } from './driver.ts';

const schema = ({ Type, strict, Duration }: SectionKit) =>
  Type.Object(
    {
      kind: Type.Literal('sim'),
      start: Type.Optional(Duration),
      boot: Type.Optional(Duration),
      stop: Type.Optional(Duration),
      /** Regular expressions of VM names. */
      failStart: Type.Optional(Type.String()),
      failBoot: Type.Optional(Type.String()),
      ignoreShutdown: Type.Optional(Type.String()),
    },
    strict,
  );

/** The simulated VMM. */
export const simKind: VmmKind = {
  kind: 'sim',
  schema,
  read(entry: EntryOf<typeof schema>, { mistake, durationMs }): SimSettings {
    for (const key of ['failStart', 'failBoot', 'ignoreShutdown'] as const) {
      try {
        new RegExp(entry[key] ?? '');
      } catch (cause) {
        mistake(key, (cause as Error).message);
      }
    }
    const { start, boot, stop, ...faults } = entry;
    return {
      ...faults,
      startMs: start === undefined ? 0 : durationMs(start, 'start'),
      bootMs: boot === undefined ? 0 : durationMs(boot, 'boot'),
      stopMs: stop === undefined ? 0 : durationMs(stop, 'stop'),
    };
  },
  traits: () => simTraits,
  create: (settings: SimSettings, _scratchDirectory, { clock }) => createSimVmm(settings, clock),
};
