import { assertEquals } from "@std/assert";
import { addressForm } from "./address_form.ts";

Deno.test("an address has the form that Postgres gives it, with letters that grow or change in lower case too", () => {
  for (
    const [address, form] of [
      [" Asha.Rao+zo@Example.CO.IN\n", "asha.rao+zo@example.co.in"],
      ["İpek@Örnek.com", "ipek@örnek.com"],
      ["ΝΙΚΟΣ@example.com", "νικοσ@example.com"],
      ["", ""],
    ] as const
  ) {
    assertEquals(addressForm(address), form);
  }
});
