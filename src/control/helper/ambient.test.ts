import { setPriority } from 'node:os';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { forgetCaller } from './ambient.ts';

vi.mock('node:os', async original => ({
  ...(await original<typeof import('node:os')>()),
  setPriority: vi.fn(),
}));

const before = { ...process.env };
beforeEach(() => {
  vi.spyOn(process, 'chdir').mockReturnValue();
  vi.spyOn(process, 'umask').mockReturnValue(0);
});
afterEach(() => {
  Object.assign(process.env, before);
  for (const name of ['SUDO_UID', 'SUDO_GID']) delete process.env[name];
  vi.restoreAllMocks();
});

it('the helper takes nothing over from who has started it', () => {
  process.env['LD_PRELOAD'] = '/tmp/theirs.so';
  forgetCaller();
  expect(process.env).toEqual({ PATH: '/usr/sbin:/usr/bin:/sbin:/bin' });
  expect(process.chdir).toHaveBeenCalledWith('/');
  expect(process.umask).toHaveBeenCalledWith(0o022);
  expect(setPriority).toHaveBeenCalledWith(0);
});

it.each([
  [{}, { uid: 0, gid: 0 }],
  [
    { SUDO_UID: '1000', SUDO_GID: '100' },
    { uid: 1_000, gid: 100 },
  ],
  [
    { SUDO_UID: '4294967294', SUDO_GID: '0' },
    { uid: 4_294_967_294, gid: 0 },
  ],
  [{ SUDO_UID: '-1', SUDO_GID: '100' }, undefined],
  [{ SUDO_UID: '1000', SUDO_GID: '100x' }, undefined],
  [{ SUDO_UID: '', SUDO_GID: '100' }, undefined],
  [{ SUDO_UID: '10000000000000', SUDO_GID: '100' }, undefined],
])('whoever has called sudo is who sudo says: %j', (env, caller) => {
  Object.assign(process.env, env);
  expect(forgetCaller()).toEqual(caller);
});
