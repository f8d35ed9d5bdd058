import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import { silentLog } from '../../platform/log.ts';
import { createVirtualClock } from '../../platform/virtual-clock.ts';
import type { NicPlan } from '../../protocol/plan.ts';
import { ControlError } from '../control.ts';
import { nicPolicy } from '../../../test/support/node.ts';
import { nicOf } from '../../../test/support/imitated-node.ts';
import { startHelper } from './client.ts';
import type { Helper } from './helper.ts';

/** A helper as a script: it notes what it is asked, and how it answers stands in the name of the tap. */
const script = `
place=$1; shift
echo "start $*" >> "$place/asked"
if [ -e "$place/refused" ]; then echo 'sudo: a password is required' >&2; exit 1; fi
if [ -e "$place/odd" ]; then echo 'this is no answer'; exit 1; fi
if [ -e "$place/silent" ]; then read -r line; exit 0; fi
cat "$place/greeting"
while read -r line; do
  echo "$line" >> "$place/asked"
  id=\${line#*:}; id=\${id%%,*}
  case $line in
    *wtonce*) if ! [ -e "$place/died" ]; then : > "$place/died"; echo 'out of luck' >&2; exit 1; fi ;;
    *wtlast*) : > "$place/refused"; exit 1 ;;
    *wtever*) echo 'never any luck' >&2; exit 1 ;;
    *wtmute*) continue ;;
    *wtbad*) echo "{\\"id\\":$id,\\"ok\\":false,\\"code\\":\\"tap_in_use\\",\\"message\\":\\"no\\"}"; continue ;;
    *'"name":"none"'*) echo "{\\"id\\":$id,\\"ok\\":false,\\"code\\":\\"not_allowed\\",\\"message\\":\\"no\\"}"; continue ;;
    *wtunread*) echo '{"id":-1,"ok":false,"code":"bad_request","message":"what?"}' ;;
    *wtundone*) echo "{\\"id\\":$id,\\"ok\\":false,\\"code\\":\\"slot_undone\\",\\"message\\":\\"gone\\"}"; exit 0 ;;
  esac
  echo "{\\"id\\":$id,\\"ok\\":true}"
done
echo ended >> "$place/asked"
`;

let place: string;
const helpers: Helper[] = [];
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'wsp-client-'));
  greets({ protocol: 2, features: ['set-peers', 'check-networks', 'something-new'] });
});
afterEach(async () => {
  for (const helper of helpers.splice(0)) await helper.undo().catch(() => undefined);
  rmSync(place, { recursive: true, force: true });
});

const asked = (): string[] =>
  existsSync(join(place, 'asked')) ? readFileSync(join(place, 'asked'), 'utf8').trimEnd().split('\n') : [];
const greets = (more: object): void =>
  writeFileSync(join(place, 'greeting'), `${JSON.stringify({ id: 0, ok: true, ...more })}\n`);
const flag = (name: string): void => writeFileSync(join(place, name), '');
const started = 'start --node n01 --slot slot-aaaaaaaaaa';
const detach = (id: number, tap: string): string => `{"id":${id},"op":"detach-nic","tap":"${tap}"}`;

async function start(more: Partial<Parameters<typeof startHelper>[0]> = {}): Promise<Helper> {
  const helper = await startHelper({
    argv: ['sh', '-c', script, 'helper', place],
    node: 'n01',
    slotId: 'slot-aaaaaaaaaa',
    clock: systemClock,
    log: silentLog,
    ...more,
  });
  helpers.push(helper);
  return helper;
}

const failure = (code: string, message: RegExp) =>
  expect.objectContaining({ constructor: ControlError, code, message: expect.stringMatching(message) });

describe('the helper of a slot', () => {
  it('is asked each thing, with an id of its own', async () => {
    const helper = await start();
    const nic = nicOf(1);
    await helper.attachNic(nic, 'one');
    await helper.detachNic('wt1');
    await helper.setPeers('wb1', [{ address: '10.1.0.1', macs: [] }]);
    await helper.adoptProcess(7);
    await helper.adoptDirectory('/a/b/c');
    expect(asked()).toEqual([
      started,
      JSON.stringify({ id: 1, op: 'attach-nic', nic, hostname: 'one' }),
      detach(2, 'wt1'),
      '{"id":3,"op":"set-peers","bridge":"wb1","peers":[{"address":"10.1.0.1","macs":[]}]}',
      '{"id":4,"op":"adopt-process","pid":7}',
      '{"id":5,"op":"adopt-directory","path":"/a/b/c"}',
    ]);
  });

  it('refuses with its own code and words, and goes on', async () => {
    const helper = await start();
    await expect(helper.detachNic('wtbad')).rejects.toEqual(failure('tap_in_use', /^no$/));
    await helper.detachNic('wt1');
  });

  it('says which networks it may not have VMs in', async () => {
    const helper = await start();
    await helper.checkNetworks([nicPolicy]);
    await expect(helper.checkNetworks([{ ...nicPolicy, name: 'none' }])).rejects.toEqual(
      failure('not_allowed', /^no$/),
    );
  });

  it('is ended by its undo, which may be asked for again; nothing else may', async () => {
    const helper = await start();
    await helper.undo();
    await helper.undo();
    expect(asked()).toEqual([started, '{"id":1,"op":"undo"}', 'ended']);
    await expect(helper.detachNic('wt1')).rejects.toEqual(failure('helper_ended', /undone/));
    expect(asked()).toHaveLength(3);
  });

  it('that has died is started again, and asked again what it had not answered', async () => {
    const helper = await start();
    await helper.detachNic('wt1');
    await Promise.all([helper.detachNic('wtonce'), helper.detachNic('wt3')]);
    const lines = asked();
    expect(lines.slice(0, 3)).toEqual([started, detach(1, 'wt1'), detach(2, 'wtonce')]);
    expect(lines.slice(-3)).toEqual([started, detach(2, 'wtonce'), detach(3, 'wt3')]);
    await helper.detachNic('wt4');
    expect(asked().at(-1)).toBe(detach(4, 'wt4'));
  });

  it('is started again three times, and then never', async () => {
    const helper = await start();
    const [waiting, other] = [helper.detachNic('wtever'), helper.detachNic('wt2')];
    const words = /^the privileged helper has ended: never any luck \(after 3 restarts\)$/;
    await expect(waiting).rejects.toEqual(failure('helper_died', words));
    await expect(other).rejects.toEqual(failure('helper_died', words));
    await expect(helper.detachNic('wt1')).rejects.toEqual(failure('helper_died', words));
    await expect(helper.undo()).rejects.toEqual(failure('helper_died', words));
    expect(asked().filter(line => line === started)).toHaveLength(4);
  });

  it('that cannot be started again is as good as dead', async () => {
    const helper = await start();
    await expect(helper.detachNic('wtlast')).rejects.toEqual(
      failure('helper_missing', /a password is required/),
    );
    await expect(helper.detachNic('wt1')).rejects.toBeInstanceOf(ControlError);
    expect(asked()).toEqual([started, detach(1, 'wtlast'), started]);
  });

  it('of a slot that kill-all has undone is not asked again, and has nothing more to undo', async () => {
    const helper = await start();
    await expect(helper.detachNic('wtundone')).rejects.toEqual(failure('slot_undone', /^gone$/));
    await expect(helper.detachNic('wt1')).rejects.toEqual(failure('slot_undone', /^gone$/));
    await helper.undo();
    expect(asked()).toEqual([started, detach(1, 'wtundone')]);
  });

  it('that could not read a request is said in the log', async () => {
    const told: unknown[] = [];
    const helper = await start({ log: { ...silentLog, error: (...words) => void told.push(words) } });
    await helper.detachNic('wtunread');
    expect(told).toEqual([['the helper could not read a request', { message: 'what?' }]]);
  });

  it('that does not answer is waited for a minute, and heard afterwards', async () => {
    const clock = createVirtualClock(0);
    const helper = await start({ clock });
    const answered = helper.detachNic('wtmute').then(
      () => 'answered',
      (cause: Error) => cause.message,
    );
    await expect.poll(() => asked().length).toBe(2);
    await clock.advanceTo(59_999);
    await helper.detachNic('wt2');
    await clock.advanceTo(60_000);
    expect(await answered).toMatch(/detach-nic did not happen within 1m/);
    await helper.detachNic('wt3');
  });
});

describe('a helper that does not come up', () => {
  it.each([
    ['refused', /^the privileged helper has ended: sudo: a password is required$/],
    ['odd', /^the privileged helper has ended: this is no answer$/],
  ])('is missing, with its last words: %s', async (how, words) => {
    flag(how);
    await expect(start()).rejects.toEqual(failure('helper_missing', words));
    expect(asked()).toEqual([started]);
  });

  it('is missing when it is not installed', async () => {
    await expect(start({ argv: [join(place, 'none')] })).rejects.toEqual(
      failure('helper_missing', /not found/),
    );
  });

  it('is missing when it says nothing for twenty seconds, and is let go', async () => {
    flag('silent');
    const clock = createVirtualClock(0);
    const outcome = start({ clock }).catch((cause: unknown) => cause);
    await expect.poll(() => asked().length).toBe(1);
    await clock.advanceTo(19_999);
    expect(clock.nextAt()).toBe(20_000);
    await clock.advanceTo(20_000);
    expect(await outcome).toEqual(failure('helper_missing', /greeting did not happen within 20s/));
  });
});

describe('a helper of another version', () => {
  it.each([[1], [2], [3]])('is spoken with when it is one away: %i', async protocol => {
    greets({ protocol, features: ['set-peers'] });
    const helper = await start();
    await helper.setPeers('wb1', []);
    expect(asked()).toHaveLength(2);
  });

  it('is told apart when it is further away, and what to do is said when it is the older', async () => {
    greets({ protocol: 4 });
    const newer =
      /^the privileged helper on n01 speaks protocol 4 and this end protocols 1 and 2: this end is/;
    await expect(start()).rejects.toEqual(failure('helper_too_new', newer));
    greets({ protocol: 0 });
    const older =
      /on n01 speaks protocol 0 .*: it is to be upgraded: upgrade it with scripts\/install-helper/;
    await expect(start()).rejects.toEqual(failure('helper_too_old', older));
    expect(asked().filter(line => line !== 'ended')).toEqual([started, started]);
  });

  it('of before there were numbers is told the addresses of peers, and not asked what it cannot do', async () => {
    greets({});
    const helper = await start();
    const nic = nicOf(1);
    const peers = [{ address: '10.1.0.1', macs: ['52:54:00:00:00:01'] }];
    const link: NicPlan['bridge']['link'] = { kind: 'vxlan', vni: 7, peers, port: 4_789 };
    await helper.attachNic({ ...nic, bridge: { ...nic.bridge, link } }, 'one');
    await helper.attachNic({ ...nic, bridge: { ...nic.bridge, link: { kind: 'isolated' } } }, 'one');
    await expect(helper.setPeers('wb1', peers)).rejects.toEqual(
      failure(
        'helper_too_old',
        /on n01 cannot change the peers of a VXLAN: upgrade it with scripts\/install-helper/,
      ),
    );
    await helper.checkNetworks([nicPolicy]);
    const links = asked()
      .slice(1)
      .map(line => (JSON.parse(line) as { nic: NicPlan }).nic.bridge.link);
    expect(links).toEqual([{ ...link, peers: ['10.1.0.1'] }, { kind: 'isolated' }]);
  });
});
