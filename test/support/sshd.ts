import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, startChild } from '../../src/platform/children.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';
import type { ServiceAccount } from '../cluster/service-account.ts';

/** A real sshd, for one user with a key of their own. */
export interface Sshd {
  readonly port: number;
  readonly identityFile: string;
  /** Arguments for our command: `-o Port=…` and what else ssh must be told. */
  readonly options: readonly string[];
  stop(): Promise<void>;
}

/** Where it listens, and what its key is for. */
export interface SshdOptions {
  readonly address: string;
  /** A node's network namespace. Default: the one we are in. */
  readonly netns?: string;
  /** Default: 2222. */
  readonly port?: number;
  /** Whose key it is, and who they are on both sides. Default: root. */
  readonly account?: ServiceAccount | undefined;
  /** What the key is restricted to, in the words of sshd(8)'s authorized_keys. Default: nothing. */
  readonly restriction?: string;
}

/** Starts it and waits until it answers. Needs root and Debian's openssh-server. */
export async function startSshd(place: string, options: SshdOptions): Promise<Sshd> {
  const { address, netns, port = 2_222, restriction, account } = options;
  const directory = join(place, `sshd-${netns ?? port}`);
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o700);
  // Where sshd keeps its unprivileged part; Debian's unit would make it.
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const at = (name: string): string => join(directory, name);
  for (const name of ['host', 'user'])
    await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
  const key = `${restriction === undefined ? '' : `${restriction} `}${readFileSync(at('user.pub'), 'utf8')}`;
  writeFileSync(at('authorized_keys'), key, { mode: 0o600 });
  writeFileSync(
    at('config'),
    [
      `Port ${port}`,
      `ListenAddress ${address}`,
      `HostKey ${at('host')}`,
      `AuthorizedKeysFile ${at('authorized_keys')}`,
      `PidFile ${at('pid')}`,
      'PermitRootLogin prohibit-password',
      'PasswordAuthentication no',
      'StrictModes no',
      'UsePAM no',
    ].join('\n'),
  );
  if (account)
    for (const path of [directory, at('user'), at('authorized_keys')])
      chownSync(path, account.id, account.id);
  const sshd = ['/usr/sbin/sshd', '-D', '-f', at('config')];
  const daemon = account?.inside(sshd) ?? sshd;
  const inside = netns === undefined ? [] : ['nsenter', `--net=/run/netns/${netns}`];
  const [command = '', ...words] = [...inside, ...daemon];
  const child: Child = await startChild([command, ...words], { stdio: ['ignore', 'ignore', 'ignore'] });
  const known = [`UserKnownHostsFile=${at('known_hosts')}`, 'StrictHostKeyChecking=accept-new'];
  const settings = [`Port=${port}`, `IdentityFile=${at('user')}`, ...known];
  const sshOptions = settings.flatMap(word => ['-o', word]);
  const deadlineMs = systemClock.monotonicMs() + 20_000;
  for (;;) {
    const argv: [string, ...string[]] = ['ssh', ...sshOptions, '--', address, 'true'];
    const { code, stderr } = await systemProcesses.run(account?.as(argv) ?? argv, { deadlineMs: 10_000 });
    // 255 is ssh's own: a restricted key's command has another opinion of `true`.
    if (code !== 255) break;
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`sshd does not answer: ${stderr}`);
    await pause(systemClock, 50);
  }
  return {
    port,
    identityFile: at('user'),
    options: sshOptions,
    async stop() {
      child.kill('SIGTERM');
      await child.exited;
    },
  };
}

async function must(argv: readonly [string, ...string[]]): Promise<void> {
  const { code, stderr } = await systemProcesses.run(argv, { deadlineMs: 30_000 });
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
}
