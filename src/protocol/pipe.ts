/** What both ends of a pipe (`src/service/pilots/pipe.ts`) call things. Apart from pilot.ts, whose schemas are not for the pilot's one file. */

/** Header of the answer to a POST: the number of the next byte wanted, the end counting as one. */
export const pipeNextHeader = 'wsp-next';
/** Header of the answer to a GET: the end follows these bytes. */
export const pipeEndHeader = 'wsp-end';
