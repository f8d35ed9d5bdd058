import { XMLParser } from 'fast-xml-parser';
import { LrmError } from './lrm.ts';

/** An element: its children by their names, its attributes by `@name`, its own text as `#text`. Nothing is taken for a number. */
export type XmlNode = Readonly<Record<string, unknown>>;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
});

/** The XML that a command of `who` printed. Throws `LrmError` (`unavailable`). */
export function parseXml(stdout: string, who: string): XmlNode {
  try {
    return parser.parse(stdout, true) as XmlNode;
  } catch (cause) {
    throw new LrmError('unavailable', `${who} printed no XML: ${stdout.slice(0, 200)}`, cause);
  }
}

/** Whether a value is one element that has children or attributes. */
export function isNode(value: unknown): value is XmlNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One element, several, or none. */
export function nodesOf(value: unknown): readonly XmlNode[] {
  return (Array.isArray(value) ? value : [value]).filter(isNode);
}

/** The text of an element or an attribute; empty when there is none. */
export function textOf(value: unknown): string {
  if (isNode(value)) return textOf(value['#text']);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
