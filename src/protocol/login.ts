/** What a MUNGE credential says that is a login: whom it is for, and that it was made just now. */

/** The text's form. The service names it: no client signs a form that it does not understand. */
export const mungeForm = 'wsp-login-2';

/** What the client has signed: good for this service alone, and once. */
export function mungeText(audience: string, nonce: string): string {
  return `${mungeForm} ${audience} ${nonce}`;
}

/**
 * The name that a service goes by in logins, from the URL that it is reached at; undefined where
 * anybody could answer in its place. With TLS its certificate vouches for the URL. Without, only a
 * loopback address of the host itself will do: its port is held by one program alone, and the host
 * (`bootId`) is part of the name, because every host has such an address. `localhost` is two
 * addresses, of which another may hold one.
 */
export function audienceOf(url: string, bootId: () => string): string | undefined {
  const { protocol, hostname, origin } = new URL(url);
  if (protocol === 'https:') return origin;
  const isLoopback = hostname === '127.0.0.1' || hostname === '[::1]';
  return protocol === 'http:' && isLoopback ? `${origin}@${bootId()}` : undefined;
}

/** Where Linux tells which start of which host this is. */
export const bootIdFile = '/proc/sys/kernel/random/boot_id';
