/**
 * The one form in which an e-mail address is compared. As `lower()` of Postgres (luma.usable_email()): letter by letter,
 * each of which stays one, while `toLowerCase()` makes two of İ, and another letter of Σ at the end of a word.
 */
export function addressForm(address: string): string {
  return [...address.trim()].map((letter) => [...letter.toLowerCase()][0])
    .join("");
}
