import { audienceOf } from '../../protocol/login.ts';
import { urlOf } from '../api/listening.ts';
import { tlsHosts } from '../api/tls.ts';

/** Where the service is reached. */
export interface LoginPlace {
  /** As the site file has it: the host that is listened on, and its port by now. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** `service.url`: a name of it, or of the proxy before it. */
  readonly url: string | null;
  readonly headAddress: string | undefined;
  readonly bootId: string;
}

/** The names of the service in logins with MUNGE: of URLs at which nobody else can answer. */
export function loginNames(place: LoginPlace): ReadonlySet<string> {
  const { host, port, isTls, url, headAddress, bootId } = place;
  const own = isTls
    ? tlsHosts(host, url, headAddress).map(each => urlOf('https', each, port))
    : loopbackOf(host).map(each => urlOf('http', each, port));
  return new Set(
    [...own, ...(url === null ? [] : [url])].flatMap(each => audienceOf(each, () => bootId) ?? []),
  );
}

/** The loopback addresses that are listened on: on the others somebody else may. */
function loopbackOf(host: string): readonly string[] {
  if (host === '::') return ['127.0.0.1', '::1'];
  if (host === '0.0.0.0') return ['127.0.0.1'];
  return [host];
}
