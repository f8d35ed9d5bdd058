import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program `ip` that writes down what it is asked for and makes nothing; first in PATH until it is removed. */
export interface ImitatedIp {
  /** Its arguments, call by call; what came on its standard input follows, with two blanks before. */
  asked(): readonly string[];
  /** Fails from now on when asked for that, with these words. */
  failWith(asked: string, words: string): void;
  /** Namespaces that are there already. */
  has(...netns: readonly string[]): void;
  /** Runs in that namespace for as long as it lives. */
  runsIn(netns: string, pid: number): void;
  remove(): void;
}

const script = `#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/asked"
if test -f "$here/fails"; then
  while IFS='|' read -r asked words; do
    case "$*" in $asked) echo "$words" >&2; exit 2;; esac
  done < "$here/fails"
fi
case "$*" in
  *-batch*) sed 's/^/  /' >> "$here/asked";;
  'netns add '*) echo "$3" >> "$here/netns";;
  'netns del '*) sed -i "/^$3\\( \\|$\\)/d" "$here/netns";;
  'netns list') if test -f "$here/netns"; then cat "$here/netns"; fi;;
  'netns pids '*)
    if test -f "$here/pids-$3"; then
      while read -r pid; do if kill -0 "$pid" 2>/dev/null; then echo "$pid"; fi; done < "$here/pids-$3"
    fi;;
esac
exit 0
`;

/** Puts the program in place. */
export function imitateIp(): ImitatedIp {
  const place = mkdtempSync(join(tmpdir(), 'wsp-imitated-ip-'));
  const before = process.env['PATH'];
  writeFileSync(join(place, 'ip'), script, { mode: 0o755 });
  process.env['PATH'] = `${place}:${before ?? ''}`;
  const at = (name: string): string => join(place, name);
  return {
    asked: () => (existsSync(at('asked')) ? readFileSync(at('asked'), 'utf8').trimEnd().split('\n') : []),
    failWith: (asked, words) => appendFileSync(at('fails'), `${asked}|${words}\n`),
    has: (...netns) => appendFileSync(at('netns'), netns.map(each => `${each}\n`).join('')),
    runsIn: (netns, pid) => appendFileSync(at(`pids-${netns}`), `${pid}\n`),
    remove() {
      process.env['PATH'] = before;
      rmSync(place, { recursive: true, force: true });
    },
  };
}
