/** What both ends of a pipe (`src/service/pilots/pipe.ts`) call things.  */

/** Header of the answer to a POST: the number of the next byte wanted, the end counting as one. */
export const pipeNextHeader = 'wsp-next';
/** Header of the answer to a GET: `1` when the end follows these bytes, else `0`. What has no such header is not ours. */
export const pipeEndHeader = 'wsp-end';
