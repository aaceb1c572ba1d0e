// Deno's std from npm, because JSR is not reachable from everywhere. To take it from JSR instead,
// map "@std/assert" to "jsr:@std/assert@1" in deno.json: nothing else imports these two files.
// @ts-types="./assert.d.ts"
export * from "npm:deno-std@1.4.0/assert/mod.js";
