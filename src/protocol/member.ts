/**
 * The member of a family that is of a kind; `what` the family is of, in words. Throws when there is
 * none: what names members from outside has been checked by then.
 */
export function memberOf<Member extends { readonly kind: string }>(
  members: readonly Member[],
  kind: string,
  what: string,
): Member {
  const member = members.find(each => each.kind === kind);
  if (!member) throw new Error(`there is no ${what} of kind ${kind}`);
  return member;
}
