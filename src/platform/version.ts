import manifest from '../../package.json' with { type: 'json' };

/** The package's version; built in, so that it is right wherever the program runs. */
export const version: string = manifest.version;
