import type { EntryOf, SectionKit } from '../../../protocol/section.ts';
import type { VmmKind } from '../kind.ts';
import type { QemuSettings } from './check.ts';
import { QemuVmm, qemuTraits } from './driver.ts';

const schema = ({ Type, strict, Program }: SectionKit) =>
  Type.Object(
    {
      kind: Type.Literal('qemu'),
      binary: Type.Optional(Program),
      accelerator: Type.Optional(
        Type.Union([Type.Literal('auto'), Type.Literal('kvm'), Type.Literal('tcg')]),
      ),
    },
    strict,
  );

type Settings = { readonly kind: 'qemu' } & Pick<QemuSettings, 'binary' | 'accelerator'>;

/** QEMU, with KVM or TCG. */
export const qemuKind: VmmKind = {
  kind: 'qemu',
  schema,
  read(entry: EntryOf<typeof schema>, { word }): Settings {
    const { kind, binary = 'qemu-system-x86_64', accelerator = 'auto' } = entry;
    return { kind, binary: word(binary), accelerator };
  },
  traits: (settings: Settings) => qemuTraits(settings),
  create: (settings: Settings, scratchDirectory, parts) =>
    new QemuVmm({ ...settings, scratchDirectory }, parts),
};
