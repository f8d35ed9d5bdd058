import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ImitatedIp, imitateIp } from '../../test/support/imitated-ip.ts';
import { openLrm } from './index.ts';

let ip: ImitatedIp;
let place: string;
let directory: string;
let tagFile: string;
beforeEach(() => {
  ip = imitateIp();
  place = mkdtempSync(join(tmpdir(), 'wsp-open-lrm-'));
  directory = join(place, 'deep/lrm');
  tagFile = join(directory, 'nodes-tag');
});
afterEach(() => {
  ip.remove();
  rmSync(place, { recursive: true });
});

const local = (change: object = {}) => ({
  kind: 'local',
  nodes: 2,
  memoryMiBPerNode: 1_024,
  cpusPerNode: 2,
  namespaces: 'auto',
  killDelayMs: 500,
  ...change,
});

it.each(['slurm', 'gridengine', 'pbs'] as const)('%s is opened, and asked for nothing yet', async kind => {
  const settings = kind === 'pbs' ? { server: null, queue: 'q' } : {};
  const { lrm, ...rest } = await openLrm({ kind, ...settings }, directory);
  expect([lrm.kind, rest]).toEqual([kind, {}]);
});

it('static nodes have a place where agents join', async () => {
  const config = { kind: 'static', joinSecretFile: 'secret', lostAfterMs: 60_000, killDelayMs: 500 } as const;
  const { lrm, agents, headAddress } = await openLrm(config, place);
  expect([lrm.kind, lrm === agents?.lrm, headAddress]).toEqual(['static', true, undefined]);
  await lrm.close();
});

describe('local nodes', () => {
  it('are this host, so many times, where no namespaces are wanted', async () => {
    const { lrm, headAddress, vmLan } = await openLrm(local({ namespaces: 'none', nodes: 3 }), directory);
    const { nodes } = await lrm.capabilities();
    expect([lrm.kind, nodes, headAddress, vmLan]).toEqual(['local', 3, undefined, undefined]);
    await lrm.close();
    expect([ip.asked(), existsSync(directory)]).toEqual([[], false]);
  });

  it('are namespaces with a name of their own, which is kept until they are gone', async () => {
    const { lrm, headAddress, vmLan } = await openLrm(local(), directory);
    const tag = readFileSync(tagFile, 'utf8');
    expect(tag).toMatch(/^[0-9a-f]{4}\n$/);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(headAddress).toMatch(/^10\.77\.\d+\.1$/);
    expect(vmLan?.gateway).toBe(headAddress?.replace('10.77.', '10.78.'));
    expect(ip.asked().filter(line => line.startsWith('netns '))).toEqual([
      `netns add ws${tag.trim()}-n01`,
      `netns add ws${tag.trim()}-n02`,
    ]);
    await lrm.close();
    expect(ip.asked().at(-1)).toBe(`link del ws${tag.trim()}v`);
    expect(existsSync(tagFile)).toBe(false);
  });

  it.each([
    ['abcd\n', ['link del wsabcds', 'link del wsabcdv']],
    ['abcd; reboot\n', []],
    ['xabcd\n', []],
    ['abcde\n', []],
    ['', []],
  ])('take down those of a service that wrote down %j and was killed: %j', async (last, gone) => {
    await (await openLrm(local(), directory)).lrm.close();
    writeFileSync(tagFile, last);
    const before = ip.asked().length;
    const { lrm } = await openLrm(local(), directory);
    const own = readFileSync(tagFile, 'utf8').trim();
    expect(own).not.toBe(last.trim());
    await lrm.close();
    const removed = ip
      .asked()
      .slice(before)
      .filter(line => line.startsWith('link del '));
    expect(removed.filter(line => !line.includes(own))).toEqual(gone);
  });

  it('of somebody who only looks are written down nowhere', async () => {
    const { lrm } = await openLrm(local(), '');
    expect(ip.asked()).not.toContain('netns list');
    await lrm.close();
    expect([existsSync('nodes-tag'), existsSync(directory)]).toEqual([false, false]);
  });
});
