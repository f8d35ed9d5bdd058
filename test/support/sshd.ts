import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, startChild } from '../../src/platform/children.ts';
import { pause, systemClock } from '../../src/platform/clock.ts';
import { systemProcesses } from '../../src/platform/process.ts';

/** A real sshd in a node's network namespace, for root with a key of its own. */
export interface Sshd {
  /** Arguments for our command: `-o Port=…` and what else ssh must be told. */
  readonly options: readonly string[];
  stop(): Promise<void>;
}

const port = 2_222;

/** Starts it and waits until it answers. Needs root and Debian's openssh-server. */
export async function startSshd(place: string, netns: string, address: string): Promise<Sshd> {
  const directory = join(place, `sshd-${netns}`);
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o700);
  // Where sshd keeps its unprivileged part; Debian's unit would make it.
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const at = (name: string): string => join(directory, name);
  for (const name of ['host', 'user'])
    await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
  writeFileSync(at('authorized_keys'), readFileSync(at('user.pub')), { mode: 0o600 });
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
  const daemon = ['/usr/sbin/sshd', '-D', '-f', at('config')];
  const child: Child = await startChild(['nsenter', `--net=/run/netns/${netns}`, ...daemon], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const words = [`Port=${port}`, `IdentityFile=${at('user')}`, `UserKnownHostsFile=${at('known_hosts')}`];
  const options = [...words, 'StrictHostKeyChecking=accept-new'].flatMap(word => ['-o', word]);
  const deadlineMs = systemClock.monotonicMs() + 20_000;
  for (;;) {
    const argv: [string, ...string[]] = ['ssh', ...options, '--', address, 'true'];
    const { code, stderr } = await systemProcesses.run([...argv], {
      deadlineMs: 10_000,
    });
    if (code === 0) break;
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`sshd does not answer: ${stderr}`);
    await pause(systemClock, 50);
  }
  return {
    options,
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
