import { LrmError } from '../lrm.ts';

/**
 * How Grid Engine counts the memory resource (`qconf -sc`, complex(5)):
 * - `slot`: what a job asks for is taken from its node, for each slot.
 * - `node`: taken from each of its nodes once (consumable HOST, of newer Grid Engines).
 * - `load`: not taken at all: a job starts where the load value is large enough just then, as
 *   `mem_free` is when Grid Engine is installed.
 */
export type MemoryCounting = 'slot' | 'node' | 'load';

/** Throws `LrmError` (`refused`) when the resource does not count memory. */
export function memoryCounting(complexes: string, resource: string): MemoryCounting {
  const row = complexes
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .find(([name, shortcut]) => name === resource || shortcut === resource);
  const wrong = (what: string): LrmError =>
    new LrmError(
      'refused',
      `lrm.memoryResource ${resource} ${what}; an administrator can change it (qconf -mc)`,
    );
  if (!row) throw wrong('is no resource of this Grid Engine');
  const [, , type, relation, requestable, consumable = ''] = row;
  if (type !== 'MEMORY' || relation !== '<=')
    throw wrong(`is of type ${type} with ${relation}, not MEMORY with <=`);
  if (requestable === 'NO') throw wrong('cannot be asked for (requestable NO)');
  switch (consumable) {
    case 'NO':
      return 'load';
    case 'YES':
      return 'slot';
    case 'HOST':
      return 'node';
    default:
      throw wrong(`is counted once for a whole job (consumable ${consumable}); use YES`);
  }
}
