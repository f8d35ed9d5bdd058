/** The member of this kind; `what` they are. Throws when there is none: kinds have been checked. */
export function memberOf<Member extends { readonly kind: string }>(
  members: readonly Member[],
  kind: string,
  what: string,
): Member {
  const member = members.find(each => each.kind === kind);
  if (!member) throw new Error(`there is no ${what} of kind ${kind}`);
  return member;
}
