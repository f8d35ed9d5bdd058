import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nicPlan } from '../../../test/support/node.ts';
import { startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { Bridges } from './bridges.ts';
import { helperDirectory } from './journal.ts';
import { RootTools } from './tools.ts';

const nic = nicPlan(2);

let place: string;
let bridges: Bridges;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-bridges-'));
  const at = helperDirectory(join(place, 'state'), join(place, 'disk'), 'n01');
  const members = join(at.bridges, 'wbtest1', 'members');
  mkdirSync(members, { recursive: true });
  const member = { slot: 'slot-aaaaaaaaaa.1000', address: '10.91.0.1', mac: '02:00:00:00:00:01' };
  writeFileSync(join(members, 'wttest1'), JSON.stringify(member));
  bridges = new Bridges(
    at,
    new RootTools(systemClock, { run: () => Promise.reject(new Error('nothing is run')) }),
  );
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe('security 12 an interface that is asked for', () => {
  it('may come to a node where there is none like it', () => {
    bridges.check(nic, 1_000);
  });

  it.each([
    ['tap', { tap: 'wttest1' }],
    ['address', { address: '10.91.0.1' }],
    ['MAC', { mac: '02:00:00:00:00:01' }],
  ])('is refused when its %s is that of a VM on the node, whatever its bridge', (what, more) => {
    expect(() => bridges.check({ ...nic, ...more }, 1_000)).toThrow(what);
  });

  it('is refused when its address is one of the node', () => {
    expect(() => bridges.check({ ...nic, address: '127.0.0.1' }, 1_000)).toThrow('the node itself');
  });
});

describe('a bridge that a tap leaves', () => {
  /** A bridge with these taps; what is run when others have left it. */
  function bridgeOf(name: string, taps: readonly string[], record?: object) {
    const at = helperDirectory(join(place, 'left'), join(place, 'disk'), 'n01');
    const directory = join(at.bridges, name);
    for (const part of ['members', 'hosts']) mkdirSync(join(directory, part), { recursive: true });
    for (const tap of taps) writeFileSync(join(directory, 'members', tap), '{}');
    if (record) writeFileSync(join(directory, 'record'), JSON.stringify(record));
    const ran: string[] = [];
    const tools = new RootTools(systemClock, {
      run: (argv, { input = '' }) => {
        ran.push(`${argv.join(' ')}: ${input}`);
        return Promise.resolve({ code: 0, signal: null, stdout: '', stderr: '' });
      },
    });
    return { bridges: new Bridges(at, tools), directory, ran, pidFile: at.dhcpPidOf(name) };
  }

  it('has its DHCP service forget the tap, and goes on for the others', async () => {
    const { bridges, ran, pidFile, directory } = bridgeOf('wbtest3', ['wttest3', 'wttest4']);
    const script = 'process.on("SIGHUP", () => process.exit(9)); setInterval(() => 0, 1_000); console.log(1)';
    const dhcp = await startChild([process.execPath, '-e', script, '--', `--pid-file=${pidFile}`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    if (dhcp.stdout) await once(dhcp.stdout, 'data');
    writeFileSync(pidFile, String(dhcp.pid));
    await bridges.leave('wbtest3', ['wttest3']);
    expect((await dhcp.exited).code).toBe(9);
    expect([bridges.members('wbtest3').map(({ tap }) => tap), ran]).toEqual([['wttest4'], []]);
    expect(existsSync(directory)).toBe(true);
  });

  it.each([
    [true, []],
    [false, ['link set dev lo down']],
  ])('as the last one gives the site’s interface back as it was: up: %s', async (uplinkWasUp, downs) => {
    const record = { uid: 0, link: 'uplink lo', uplink: 'lo', uplinkWasUp, complete: true };
    const { bridges, ran, directory } = bridgeOf('wbtest4', ['wttest5'], record);
    await bridges.leave('wbtest4', ['wttest5']);
    expect(ran.join('\n').match(/link set .*/g) ?? []).toEqual(downs);
    expect(existsSync(directory)).toBe(false);
  });
});
