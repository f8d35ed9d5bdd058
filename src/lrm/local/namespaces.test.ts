import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ImitatedIp, imitateIp } from '../../../test/support/imitated-ip.ts';
import { type Child, startChild } from '../../platform/children.ts';
import { systemClock } from '../../platform/clock.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import { endNodes, makeNodes } from './namespaces.ts';

/** What ip(8) is asked for; what it makes of that is test/e2e/namespaces.test.ts's. */

let ip: ImitatedIp;
const children: Child[] = [];
beforeEach(() => {
  ip = imitateIp();
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await child.exited;
  }
  ip.remove();
});

const claim = 'link property add dev wstests altname wsp-site-network-';
/** What was asked for from here on. */
const since = (count: number): readonly string[] => ip.asked().slice(count);
/** The numbers of networks that were tried. */
const tried = (): readonly number[] =>
  ip.asked().flatMap(line => (line.startsWith(claim) ? [Number(line.slice(claim.length))] : []));

describe('nodes that are namespaces', () => {
  it('are plugged into a site’s network and a network of its VMs, with addresses of their own', async () => {
    const networks = await makeNodes('test', 2);
    const [third] = tried();
    expect(networks).toMatchObject({
      headAddress: `10.77.${third}.1`,
      vmLan: { bridge: 'wstestv', subnet: `10.78.${third}.0/24`, gateway: `10.78.${third}.1` },
      nodes: [
        { name: 'n01', netns: 'wstest-n01', address: `10.77.${third}.11` },
        { name: 'n02', netns: 'wstest-n02', address: `10.77.${third}.12` },
      ],
    });
    const plugged = (index: number): readonly string[] => [
      `netns add wstest-n0${index + 1}`,
      `link add wstests${index} type veth peer name eth0 netns wstest-n0${index + 1}`,
      `link set wstests${index} master wstests up`,
      `link add wstestv${index} type veth peer name eth1 netns wstest-n0${index + 1}`,
      `link set wstestv${index} master wstestv up`,
      `-n wstest-n0${index + 1} -batch -`,
      '  link set lo up',
      `  addr add 10.77.${third}.${11 + index}/24 dev eth0`,
      '  link set eth0 up',
      '  link set eth1 up',
    ];
    expect(ip.asked()).toEqual([
      'link add wstests type bridge',
      'link add wstestv type bridge',
      `${claim}${third}`,
      `addr add 10.77.${third}.1/24 dev wstests`,
      `addr add 10.78.${third}.1/24 dev wstestv`,
      'link set wstests up',
      'link set wstestv up',
      ...plugged(0),
      ...plugged(1),
    ]);
    const made = ip.asked().length;
    ip.failWith('netns del wstest-n01', 'busy');
    ip.failWith('link del wstests', 'busy');
    await networks.remove();
    expect(since(made)).toEqual([
      ...['netns del wstest-n01', 'netns del wstest-n02'],
      ...['link del wstests', 'link del wstestv'],
    ]);
  });

  it('take the next network when another site has claimed one', async () => {
    ip.failWith(`${claim}?`, 'RTNETLINK answers: File exists');
    const { headAddress } = await makeNodes('test', 1);
    const third = tried().at(-1) ?? 0;
    expect(third).toBe(Math.max(10, ...tried()));
    expect(headAddress).toBe(`10.77.${third}.1`);
  });

  it.each([`${claim}*`, 'link add wstestv type bridge', 'link set wstestv up', '-n wstest-n02 -batch -'])(
    'leave nothing when %s fails, and say why',
    async asked => {
      ip.failWith(asked, 'Operation not permitted');
      await expect(makeNodes('test', 2)).rejects.toThrow('Operation not permitted');
      expect(ip.asked().slice(-2)).toEqual(['link del wstests', 'link del wstestv']);
      const made = ip.asked().filter(line => line.startsWith('netns add ')).length;
      if (made > 0) expect(ip.asked()).toContain('netns del wstest-n01');
    },
  );
});

describe('nodes of a service that was killed', () => {
  /** A process in a node; `deaf`: to SIGTERM. */
  async function runs(netns: string, deaf = false): Promise<Child> {
    const program = deaf ? "trap '' TERM; echo up; while :; do read -r line; done" : 'echo up; read -r line';
    const child = await startChild(['sh', '-c', program], { stdio: ['pipe', 'pipe', 'ignore'] });
    children.push(child);
    await new Promise(resolve => child.stdout?.once('data', resolve));
    ip.runsIn(netns, child.pid);
    return child;
  }

  it('are found by their tag, and end with what runs on them; no others do', async () => {
    ip.has('wsdead-n01 (id: 3)', 'wsdead-n02', 'wsdea-n01', 'other-wsdead-n01');
    const [one, other, stranger] = [
      await runs('wsdead-n01'),
      await runs('wsdead-n02'),
      await runs('wsdea-n01'),
    ];
    await endNodes('dead', systemClock);
    expect((await Promise.all([one.exited, other.exited])).map(({ signal }) => signal)).toEqual([
      'SIGTERM',
      'SIGTERM',
    ]);
    expect(ip.asked().filter(line => line.includes(' del '))).toEqual([
      ...['netns del wsdead-n01', 'netns del wsdead-n02'],
      ...['link del wsdeads', 'link del wsdeadv'],
    ]);
    stranger.kill('SIGUSR1');
    expect((await stranger.exited).signal).toBe('SIGUSR1');
  });

  it('are no error when there are none', async () => {
    ip.failWith('link del *', 'Cannot find device');
    await endNodes('dead', createVirtualClock(0));
    expect(ip.asked()).toContain('link del wsdeadv');
  });

  it('end though something on them does not leave, after its time', async () => {
    ip.has('wsdead-n01');
    const deaf = await runs('wsdead-n01', true);
    const clock = createVirtualClock(0);
    let isOver = false;
    const over = endNodes('dead', clock).then(() => {
      isOver = true;
    });
    const lists = (): number => ip.asked().filter(line => line === 'netns list').length;
    await expect.poll(() => clock.nextAt(), { timeout: 10_000 }).toBe(200);
    await clock.advanceBy(200);
    await expect.poll(() => clock.nextAt(), { timeout: 10_000 }).toBe(400);
    // It is looked again and again, and it is killed when the time is over, not before.
    await clock.advanceBy(39_599);
    await expect.poll(() => clock.nextAt(), { timeout: 10_000 }).toBeGreaterThan(39_799);
    expect([isOver, deaf.kill('SIGTERM'), lists() > 2]).toEqual([false, true, true]);
    await clock.advanceBy(201);
    await over;
    expect((await deaf.exited).signal).toBe('SIGKILL');
  });
});
