/**
 * A slot and the user whose job it is. What one user's helper keeps, reads and undoes has their uid
 * in its name, `<slotId>.<uid>`: an id that another one names, or takes first, is never the same.
 */
export interface SlotKey {
  readonly slotId: string;
  readonly uid: number;
}

/** The key as a file's name. */
export function keyText({ slotId, uid }: SlotKey): string {
  return `${slotId}.${uid}`;
}

/** The key in a file's name; undefined when it is none. */
export function keyIn(name: string): SlotKey | undefined {
  const [, slotId, uid] = /^(.+)\.(\d{1,10})$/.exec(name) ?? [];
  return slotId === undefined ? undefined : { slotId, uid: Number(uid) };
}
