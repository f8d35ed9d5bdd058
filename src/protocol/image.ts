import { Unchecked } from './unchecked.ts';

/**
 * An image's manifest: `image.json` in the image's directory, beside the files it names. Read by the service (which images are
 * there, what they need) and by control on the node (how to boot one). Checked by hand: nodes carry no schema library.
 */
export interface ImageManifest {
  readonly name: string;
  readonly description: string;
  readonly boot:
    | {
        readonly kind: 'kernel';
        /** File names inside the image's directory. */
        readonly kernel: string;
        readonly initrd?: string;
        readonly commandLine: string;
      }
    | { readonly kind: 'disk' };
  readonly machine: 'microvm' | 'q35';
  /** The image's root disk; each VM gets a copy-on-write overlay of it. Always there when `boot.kind` is `disk`. */
  readonly disk?: { readonly file: string; readonly format: 'qcow2' | 'raw' };
  /** The guest reports its context and obeys `shutdown` over the virtio port `org.workspace-pilot.0`. */
  readonly agent: boolean;
  readonly minMemoryMiB: number;
}

/** Every file that a manifest names, in its image's directory. */
export function filesOfImage({ boot, disk }: ImageManifest): readonly string[] {
  const kernel =
    boot.kind === 'kernel' ? [boot.kernel, ...(boot.initrd === undefined ? [] : [boot.initrd])] : [];
  return [...kernel, ...(disk ? [disk.file] : [])];
}

/** Checks a manifest's JSON value; lets unknown fields pass. Throws at the first mistake. */
export function parseImageManifest(value: unknown): ImageManifest {
  const manifest = new Unchecked(value);
  const boot = parseBoot(manifest.at('boot'));
  const disk = manifest.at('disk');
  const hasDisk = disk.value !== undefined;
  if (boot.kind === 'disk' && !hasDisk) throw new Error('boot.kind is "disk" but there is no disk');
  const machine = manifest.at('machine').oneOf(['microvm', 'q35']);
  if (boot.kind === 'disk' && machine === 'microvm') throw new Error('boot.kind "disk" needs machine "q35"');
  const agent = manifest.at('agent');
  return {
    name: aLine(manifest.at('name')),
    description: aLine(manifest.at('description')),
    boot,
    machine,
    ...(hasDisk
      ? { disk: { file: aFile(disk.at('file')), format: disk.at('format').oneOf(['qcow2', 'raw']) } }
      : {}),
    agent: typeof agent.value === 'boolean' ? agent.value : agent.mustBe('true or false'),
    minMemoryMiB: manifest.at('minMemoryMiB').integer(1, Number.MAX_SAFE_INTEGER),
  };
}

function parseBoot(boot: Unchecked): ImageManifest['boot'] {
  const kind = boot.at('kind').oneOf(['kernel', 'disk']);
  if (kind === 'disk') return { kind };
  const initrd = boot.at('initrd');
  return {
    kind,
    kernel: aFile(boot.at('kernel')),
    ...(initrd.value === undefined ? {} : { initrd: aFile(initrd) }),
    commandLine: aLine(boot.at('commandLine')),
  };
}

function aLine(from: Unchecked): string {
  return from.text(/^[^\r\n\0]*$/, 'one line of text');
}

/** A plain name: a manifest cannot point outside its directory. */
function aFile(from: Unchecked): string {
  return from.text(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'the name of a file beside it');
}
