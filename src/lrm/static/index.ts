import { systemClock } from '../../platform/clock.ts';
import { secretFileMistake } from '../../platform/secret-file.ts';
import { failure, good } from '../../protocol/check.ts';
import type { EntryOf, SectionKit } from '../../protocol/section.ts';
import type { LrmKind } from '../kind.ts';
import { ownKillDelayMs } from '../lrm.ts';
import { StaticLrm, type StaticSettings } from './static.ts';

const schema = ({ Type, strict, Path, Duration }: SectionKit) =>
  Type.Object(
    {
      kind: Type.Literal('static'),
      /** File with the secret that agents join with, mode 0600. Absent file: made with a new one. */
      joinSecretFile: Path,
      /** A node whose agent has not been heard of for this long has lost its jobs. Default 60s. */
      lostAfter: Type.Optional(Duration),
    },
    strict,
  );

interface Settings extends Omit<StaticSettings, 'directory'> {
  readonly kind: 'static';
  readonly joinSecretFile: string;
}

/** Nodes that agents join. */
export const staticKind: LrmKind = {
  kind: 'static',
  schema,
  read({ kind, joinSecretFile, lostAfter = '60s' }: EntryOf<typeof schema>, { path, durationMs }) {
    const lrm: Settings = {
      kind,
      joinSecretFile: path(joinSecretFile),
      lostAfterMs: durationMs(lostAfter, 'lostAfter'),
      killDelayMs: ownKillDelayMs,
    };
    return { lrm, gang: { options: [] } };
  },
  ownFiles: ({ joinSecretFile }: Settings) => [joinSecretFile],
  check({ joinSecretFile }: Settings, name) {
    const wrong = secretFileMistake(joinSecretFile, 'the secret');
    if (wrong !== undefined) return failure(name, wrong, 'agents join with it: keep it to yourself');
    return good(name, `static: nodes join with the secret in ${joinSecretFile} (wsp nodes add, wsp agent)`);
  },
  open(settings: Settings, directory) {
    const lrm = new StaticLrm({ ...settings, directory }, systemClock);
    return { lrm, agents: { lrm, joinSecretFile: settings.joinSecretFile } };
  },
};
