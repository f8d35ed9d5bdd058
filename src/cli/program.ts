import type { Client } from '../client/client.ts';
import { createClient } from '../client/client.ts';
import { pause, systemClock } from '../platform/clock.ts';
import { print } from '../platform/printing.ts';
import { errorCodes, WspError } from '../protocol/errors.ts';
import { loginMeans } from './login-means.ts';
import { plainJson, plainLines } from '../protocol/text.ts';
import { type Columns, table } from './output.ts';
import { cliSettings } from './settings.ts';
import { messageOf } from '../platform/message-of.ts';

/** What every command gets: the client when it needs one, and one way to answer. */
export interface CommandContext {
  readonly env: NodeJS.ProcessEnv;
  readonly json: boolean;
  client(): Client;
  /** With --json the value as one JSON document; else the text. */
  answer(value: unknown, text: string): void;
  /** With --json an object with these rows by their name; else a table of them. */
  list<Row>(name: string, rows: readonly Row[], columns: Columns<Row>): void;
}

/** Carries out a command; the number that it resolves with, if any, is the exit code. */
export type Run = (work: (context: CommandContext) => Promise<number | void>) => Promise<void>;

/** The context of one invocation. */
export function commandContext(env: NodeJS.ProcessEnv, json: boolean): CommandContext {
  let client: Client | undefined;
  const answer: CommandContext['answer'] = (value, text) => print(json ? jsonLine(value) : plainLines(text));
  return {
    env,
    json,
    client: () => {
      const { serviceUser, ...settings } = cliSettings(env);
      client ??= createClient({
        ...settings,
        login: loginMeans(serviceUser),
        pause: delayMs => pause(systemClock, delayMs),
      });
      return client;
    },
    answer,
    list: (name, rows, columns) => answer({ [name]: rows }, table(rows, columns)),
  };
}

/** Tells a failure to the user and returns the exit code. With --json the error is the one document on standard output. */
export function reportFailure(cause: unknown, json: boolean, env: NodeJS.ProcessEnv): number {
  const error =
    cause instanceof WspError
      ? cause
      : new WspError('internal', messageOf(cause), {
          hint: 'this is a bug: please report it with the output of WSP_DEBUG=1',
        });
  if (json) print(jsonLine(error.toBody()));
  else process.stderr.write(plainLines(failureText(error)));
  if (env['WSP_DEBUG'] && cause instanceof Error) process.stderr.write(plainLines(`${cause.stack ?? ''}\n`));
  return errorCodes[error.code].exit;
}

function failureText({ message, details = [], hint }: WspError): string {
  const lines = [
    `wsp: ${message}`,
    ...details.map(detail => `  ${detail.path}: ${detail.message}`),
    ...(hint === undefined ? [] : [`  ${hint}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Others have named things in it: nothing of that may do something to a terminal. */
function jsonLine(value: unknown): string {
  return `${plainJson(JSON.stringify(value))}\n`;
}
