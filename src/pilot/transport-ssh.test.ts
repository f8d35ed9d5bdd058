import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Child, ChildExit } from '../platform/children.ts';
import { createVirtualClock, settle } from '../platform/virtual-clock.ts';
import type { PilotTransport } from '../protocol/pilot.ts';
import { sshArguments, sshTransport } from './transport-ssh.ts';
import { NotAcceptedError } from './transport.ts';

/** What is not a working ssh at the other end; a real one goes through the contract in test/e2e/transports.test.ts. */

const settings: Extract<PilotTransport, { kind: 'ssh' }> = {
  kind: 'ssh',
  host: 'head.cluster',
  user: 'wsp',
  identityFile: '/home/wsp/.ssh/key with a blank',
  options: ['Port=2222', 'ConnectTimeout=60'],
  command: ['/opt/wsp', 'ingest'],
};
const assignment = { slotId: 'slot-aaaaaaaaaa', secret: 'a-secret-of-enough-length' };

/** An ssh that does what the test says, over pipes. */
function world() {
  const clock = createVirtualClock(0);
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const argvs: (readonly string[])[] = [];
  const signals: (string | undefined)[] = [];
  let exit: (end: ChildExit) => void = () => undefined;
  const child: Child = {
    pid: 1,
    stdin,
    stdout,
    stderr,
    extra: null,
    exited: new Promise(resolve => (exit = resolve)),
    kill: signal => signals.push(signal) > 0,
    unref: () => undefined,
  };
  const startChild = (argv: readonly [string, ...string[]]): Promise<Child> => {
    argvs.push(argv);
    return Promise.resolve(child);
  };
  const transport = sshTransport(settings, assignment, 'n01', { clock, startChild });
  const heard: unknown[] = [];
  const connect = () =>
    transport.connect({ message: one => heard.push(one), closed: why => heard.push(why) });
  return {
    clock,
    stdin,
    stdout,
    stderr,
    argvs,
    signals,
    heard,
    connect,
    transport,
    exit: () => exit({ code: 255, signal: null }),
  };
}

describe('ssh', () => {
  it('is told where on its arguments, and who and what on its standard input alone', async () => {
    const { argvs, stdin, stdout, connect, heard } = world();
    const linked = connect();
    await settle();
    const asked = String(stdin.read());
    expect(JSON.parse(asked)).toEqual({ ...assignment, node: 'n01', streamId: null });
    expect(asked.endsWith('\n')).toBe(true);
    const [argv = []] = argvs;
    expect(argv.join(' ')).not.toContain(assignment.secret);
    expect(argv.slice(0, 8)).toEqual([
      'ssh',
      '-T',
      '-o',
      'BatchMode=yes',
      '-o',
      'Port=2222',
      '-o',
      'ConnectTimeout=60',
    ]);
    expect(argv.slice(-7)).toEqual([
      '-i',
      settings.identityFile,
      '-l',
      'wsp',
      '--',
      'head.cluster',
      '/opt/wsp ingest',
    ]);
    stdout.write(
      'Welcome to head!\n{"motd":1}\n{"opened":true,"address":"10.0.0.7"}\n{"type":"ack","seq":7}\n',
    );
    const link = await linked;
    expect(link.localAddress).toBe('10.0.0.7');
    await settle();
    expect(heard).toEqual([{ type: 'ack', seq: 7 }]);
    link.send({ type: 'command-ack', key: 'k' });
    await settle();
    expect(String(stdin.read())).toBe('{"type":"command-ack","key":"k"}\n');
  });

  it('gets no arguments for what the site leaves to it', () => {
    const argv = sshArguments({ ...settings, user: null, identityFile: null, options: [] });
    expect(argv).not.toContain('-i');
    expect(argv).not.toContain('-l');
    expect(argv).toContain('ServerAliveInterval=15');
  });

  it('is believed when the service does not take the secret', async () => {
    const { stdout, connect } = world();
    const linked = connect();
    stdout.write('{"opened":false,"notAccepted":true,"why":"no"}\n');
    await expect(linked).rejects.toBeInstanceOf(NotAcceptedError);
  });

  it('hands on why there is no service, and its own last words when it fails', async () => {
    const one = world();
    const away = one.connect();
    one.stdout.write('{"opened":false,"notAccepted":false,"why":"it is away"}\n');
    await expect(away).rejects.toThrow('wsp ingest: it is away');
    const two = world();
    const refused = two.connect();
    two.stderr.write('Warning: x\nwsp@head.cluster: Permission denied (publickey).\n');
    await settle();
    two.stdout.end();
    await expect(refused).rejects.toThrow(
      'ssh: Warning: x; wsp@head.cluster: Permission denied (publickey).',
    );
    await expect(refused).rejects.not.toBeInstanceOf(NotAcceptedError);
  });

  it('is killed when it does not end', async () => {
    const { clock, connect, signals, exit } = world();
    const outcome = connect().catch((cause: unknown) => String(cause));
    await clock.advanceBy(30_000);
    expect(await outcome).toContain('an answer of wsp ingest over ssh did not happen within 30s');
    await clock.advanceBy(5_000);
    expect(signals).toEqual(['SIGKILL']);
    exit();
  });

  it('that chatters for ever is no service', async () => {
    const { stdout, connect } = world();
    const linked = connect();
    for (let count = 0; count < 100; count++) stdout.write(`${'x'.repeat(1_000)}\n`);
    await expect(linked).rejects.toThrow('what it says is not what was expected');
  });
});
