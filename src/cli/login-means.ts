import type { LoginMeans } from '../client/login.ts';
import { systemProcesses } from '../platform/process.ts';
import { WspError } from '../protocol/errors.ts';
import { mungeCredential } from './munge.ts';

const deadlineMs = 10_000;

/**
 * How this command logs in where it has no token. `serviceUser`: who the service may run as,
 * besides root and ourselves.
 */
export function loginMeans(serviceUser: string | undefined): LoginMeans {
  return {
    munge: mungeCredential,
    serviceUids: async () => (serviceUser === undefined ? [] : [await uidOf(serviceUser)]),
  };
}

async function uidOf(user: string): Promise<number> {
  if (/^[0-9]+$/.test(user)) return Number(user);
  const { code, stdout } = await systemProcesses.run(['id', '-u', '--', user], { deadlineMs });
  if (code === 0) return Number(stdout);
  throw new WspError(
    'usage',
    `this host has no user ${user}, who runs the service according to your settings`,
    {
      hint: 'correct WSP_SERVICE_USER, or serviceUser in the config file',
    },
  );
}
