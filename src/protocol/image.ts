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

/** Thrown by `parseImageManifest`; the message names the field. */
export class ImageManifestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ImageManifestError';
  }
}

/** Checks a manifest's JSON value. Throws `ImageManifestError` at the first mistake. Unknown fields are let pass. */
export function parseImageManifest(value: unknown): ImageManifest {
  const fields = object(value, 'the manifest');
  const boot = parseBoot(object(fields.boot, 'boot'));
  const disk = fields.disk === undefined ? undefined : parseDisk(object(fields.disk, 'disk'));
  if (boot.kind === 'disk' && !disk) throw new ImageManifestError('boot.kind is "disk" but there is no disk');
  const machine = oneOf(fields.machine, ['microvm', 'q35'] as const, 'machine');
  if (boot.kind === 'disk' && machine === 'microvm')
    throw new ImageManifestError('boot.kind "disk" needs machine "q35"');
  if (typeof fields.agent !== 'boolean') throw new ImageManifestError('agent is not true or false');
  const minMemoryMiB = fields.minMemoryMiB;
  if (typeof minMemoryMiB !== 'number' || !Number.isInteger(minMemoryMiB) || minMemoryMiB < 1)
    throw new ImageManifestError('minMemoryMiB is not a positive integer');
  return {
    name: text(fields.name, 'name'),
    description: text(fields.description, 'description'),
    boot,
    machine,
    ...(disk ? { disk } : {}),
    agent: fields.agent,
    minMemoryMiB,
  };
}

function parseBoot(boot: Fields): ImageManifest['boot'] {
  const kind = oneOf(boot.kind, ['kernel', 'disk'] as const, 'boot.kind');
  if (kind === 'disk') return { kind };
  return {
    kind,
    kernel: fileName(boot.kernel, 'boot.kernel'),
    ...(boot.initrd === undefined ? {} : { initrd: fileName(boot.initrd, 'boot.initrd') }),
    commandLine: text(boot.commandLine, 'boot.commandLine'),
  };
}

function parseDisk(disk: Fields): NonNullable<ImageManifest['disk']> {
  return {
    file: fileName(disk.file, 'disk.file'),
    format: oneOf(disk.format, ['qcow2', 'raw'] as const, 'disk.format'),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function object(value: unknown, path: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ImageManifestError(`${path} is not an object`);
  return value as Fields;
}

function text(value: unknown, path: string): string {
  if (typeof value !== 'string' || /[\r\n\0]/.test(value))
    throw new ImageManifestError(`${path} is not one line of text`);
  return value;
}

/** A plain name: a manifest cannot point outside its directory. */
function fileName(value: unknown, path: string): string {
  if (typeof value !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value))
    throw new ImageManifestError(`${path} is not a file name`);
  return value;
}

function oneOf<const T extends string>(value: unknown, allowed: readonly T[], path: string): T {
  const found = allowed.find(word => word === value);
  if (found === undefined) throw new ImageManifestError(`${path} is none of ${allowed.join(', ')}`);
  return found;
}
