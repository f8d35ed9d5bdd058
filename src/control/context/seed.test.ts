import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemProcesses } from '../../platform/process.ts';
import type { VmPlan } from '../../protocol/plan.ts';
import { makeSeed } from './seed.ts';

const key = { privateKey: 'secret', publicKey: 'ssh-ed25519 AAAA' };
const plan: VmPlan = {
  vmId: 'ws-aaaaaaaaaa.a-0',
  workspaceId: 'ws-aaaaaaaaaa',
  name: 'a-0',
  image: { name: 'mini', directory: '/images/mini' },
  memoryMiB: 256,
  cpus: 1,
  nics: [],
  contextTimeoutMs: 1_000,
  context: {
    hostname: 'a-0',
    workspace: 'a',
    roles: [],
    authorizedKeys: [],
    hostKey: key,
    clusterKey: key,
    hosts: [],
  },
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wsp-seed-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('a seed', () => {
  it.each([
    ['gzip, which cloud-init unpacks by itself', gzipSync('#cloud-config\npackages: [htop]\n')],
    ['Latin-1', Buffer.from('#!/bin/sh\n# für Größe\n', 'latin1')],
    ['UTF-16', Buffer.from('\ufeff#cloud-config\n', 'utf16le')],
    ['every byte there is', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
  ])('report 6: has user data byte for byte where cloud-init looks for it: %s', async (_what, bytes) => {
    const userData = { base64: bytes.toString('base64') };
    const iso = await makeSeed(
      { ...plan, context: { ...plan.context, userData } },
      directory,
      systemProcesses.run,
    );
    const out = join(directory, 'out');
    const read = `isoinfo -R -i '${iso}' -x /user-data > '${out}'`;
    expect(await systemProcesses.run(['sh', '-c', read], { deadlineMs: 10_000 })).toMatchObject({ code: 0 });
    expect(readFileSync(out).equals(bytes)).toBe(true);
  });
});
