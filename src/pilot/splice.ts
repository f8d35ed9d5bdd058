import type { Duplex } from 'node:stream';

/**
 * Makes a guest's stream and the service's one. Each side's end is the other's; nobody else has to know of an error. What the guest said last is brought to
 * the service before that side is closed: the way there may be slow.
 */
export function splice(guest: Duplex, service: Duplex): void {
  guest.on('error', () => service.destroy());
  guest.on('close', () => service.end(() => service.destroy()));
  service.on('error', () => guest.destroy()).on('close', () => guest.destroy());
  guest.pipe(service).pipe(guest);
}
