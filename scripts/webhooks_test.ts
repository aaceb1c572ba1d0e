import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { EVENT_TYPES } from "./webhooks/subscriptions.ts";
import {
  ADDRESS,
  inTurns,
  KEYS,
  run,
  type Scene,
  withScene,
} from "./webhooks/testing.ts";

const REGISTER_BLR = ["register", "--calendar", "blr"];

async function subscriptions({ luma }: Scene) {
  return (await luma.listWebhooks()).entries;
}

/** What must be true after every register: one subscription for the address, active, whole, and its secret in the file. */
async function checkRegistered(scene: Scene) {
  const all = await subscriptions(scene);
  const ours = all.filter(({ url }) => url === ADDRESS);
  assertEquals(ours.length, 1);
  assertEquals(ours[0]?.status, "active");
  assertEquals((await scene.secrets())[0], ours[0]?.secret);
  return ours[0]!;
}

Deno.test("register creates one subscription for each calendar, and writes the secrets into their lines", async () => {
  await withScene(async (scene) => {
    const before = await scene.text();
    const { status, said } = await scene.run(["register"]);
    assertEquals(status, 0, said);
    assertEquals(scene.writes(), ["create", "create"]);
    const blr = await checkRegistered(scene);
    assertEquals(blr.event_types, EVENT_TYPES);
    const zo = (await scene.variables())["LUMA_ZO_EVENTS_WEBHOOK_SECRET"];
    assertNotEquals(zo, blr.secret);
    assertEquals(
      await scene.text(),
      before.replace("LUMA_BLR_WEBHOOK_SECRET=", `$&${blr.secret}`) +
        `LUMA_ZO_EVENTS_WEBHOOK_SECRET=${zo}\n`,
    );
    assertEquals(Deno.statSync(scene.envFile).mode! & 0o777, 0o600);
    assertStringIncludes(
      said,
      `Run:\n  npx -y supabase@3.1.0 secrets set --env-file ${scene.envFile}`,
    );
  });
});

Deno.test("repeating register writes nothing, neither on Luma nor in the file, and says so", async () => {
  await withScene(async (scene) => {
    await scene.run(["register"]);
    scene.writes();
    await Deno.chmod(scene.envFile, 0o400);
    const before = [await scene.text(), Deno.statSync(scene.envFile).ino];
    const { status, said } = await scene.run(["register"]);
    assertEquals(status, 0, said);
    assertEquals(scene.writes(), []);
    assertEquals(
      [await scene.text(), Deno.statSync(scene.envFile).ino],
      before,
    );
    assertMatch(said, /^blr: wh\S+ is as it should be\.$/m);
    assertStringIncludes(said, "are unchanged");
    assert(!said.includes("npx"));
  });
});

Deno.test("--calendar takes one calendar only, in any letter case", async () => {
  await withScene(async (scene) => {
    for (const calendar of ["blr", "BLR"]) {
      const { said } = await scene.run(["register", "--calendar", calendar]);
      assert(!said.includes("zo_events"), said);
    }
    assertEquals(scene.writes(), ["create"]);
  });
});

Deno.test("a paused subscription is activated, one that lacks event types gets them, both in one call", async () => {
  const flaws = [
    { status: "paused" as const },
    { event_types: ["event.created" as const, "guest.updated" as const] },
    { status: "paused" as const, event_types: ["event.created" as const] },
  ];
  await withScene(async (scene) => {
    await scene.run(REGISTER_BLR);
    const { id } = await checkRegistered(scene);
    for (const flaw of flaws) {
      await scene.luma.updateWebhook({ id, ...flaw });
      scene.writes();
      const { status, said } = await scene.run(REGISTER_BLR);
      assertEquals(status, 0, said);
      assertEquals(scene.writes(), ["update"]);
      const mended = await checkRegistered(scene);
      assertEquals([mended.id, mended.event_types], [id, EVENT_TYPES]);
      assertStringIncludes(said, "are unchanged");
    }
  });
});

Deno.test("event types in another order, and *, are left as they are", async () => {
  for (const event_types of [EVENT_TYPES.toReversed(), ["*" as const]]) {
    await withScene(async (scene) => {
      await scene.luma.createWebhook({ url: ADDRESS, event_types });
      scene.writes();
      await scene.run(REGISTER_BLR);
      assertEquals(scene.writes(), []);
      assertEquals((await checkRegistered(scene)).event_types, event_types);
    });
  }
});

Deno.test("of several for the address one is left: the one whose secret is known, else the oldest", async () => {
  await withScene(async (scene) => {
    const urls = [
      ADDRESS,
      `${ADDRESS}/`,
      ADDRESS.replace("ref.supabase.co", "REF.Supabase.co:443"),
    ];
    for (const known of [undefined, 2]) {
      const made = [];
      for (const url of urls) {
        made.push(
          await scene.luma.createWebhook({ url, event_types: ["*"] }),
        );
        // The oldest is told by its time, in milliseconds.
        const { created_at } = made.at(-1)!;
        while (new Date().toISOString() === created_at) await Promise.resolve();
      }
      const vars = known === undefined
        ? {}
        : { LUMA_BLR_WEBHOOK_SECRET: `other,${made[known]!.secret}` };
      await Deno.writeTextFile(
        scene.envFile,
        (await scene.text()).replace(/(BLR_WEBHOOK_SECRET=).*/, "$1"),
      );
      scene.writes();
      const { status, said } = await scene.run(REGISTER_BLR, { vars });
      assertEquals(status, 0, said);
      assertEquals(scene.writes(), ["delete", "delete"]);
      const left = await subscriptions(scene);
      assertEquals(left.map(({ id }) => id), [made[known ?? 0]!.id]);
      assertEquals(await scene.secrets(), [left[0]?.secret]);
      await scene.luma.deleteWebhook(left[0]!.id);
    }
  });
});

Deno.test("duplicates are found on later pages, too", async () => {
  await withScene(async (scene) => {
    const url = (index: number) => index % 3 ? `${ADDRESS}/${index}` : ADDRESS;
    for (let index = 0; index < 10; index++) {
      await scene.luma.createWebhook({ url: url(index), event_types: ["*"] });
    }
    await scene.run(REGISTER_BLR);
    const { entries } = await scene.luma.listWebhooks();
    assertEquals(entries.length, 2, "the first page");
    scene.writes();
    const { said } = await scene.run(["list", "--calendar", "blr"]);
    assertEquals(said.split(ADDRESS).length - 1, 7);
    assertEquals(said.split("(ours)").length - 1, 1);
  }, { pageSize: 2 });
});

Deno.test("subscriptions for other addresses are left alone by register and delete", async () => {
  const foreign = [
    ADDRESS.replace("https:", "http:"),
    `${ADDRESS}-2`,
    `${ADDRESS}?x=1`,
    ADDRESS.toUpperCase().replace("HTTPS", "https"),
    ADDRESS.replace("ref.", "other."),
  ];
  await withScene(async (scene) => {
    for (const url of foreign) {
      const { id } = await scene.luma.createWebhook({
        url,
        event_types: ["event.created"],
      });
      await scene.luma.updateWebhook({ id, status: "paused" });
    }
    const before = await subscriptions(scene);
    await scene.run(["register"]);
    await scene.run(["delete"]);
    assertEquals(await subscriptions(scene), before);
  });
});

Deno.test("a new secret is put before the one that it replaces, and a third one goes", async () => {
  await withScene(async (scene) => {
    const secrets: string[] = [];
    for (let round = 0; round < 3; round++) {
      await scene.run(REGISTER_BLR);
      const { id, secret } = await checkRegistered(scene);
      secrets.unshift(secret);
      assertEquals(await scene.secrets(), secrets.slice(0, 2));
      await scene.luma.deleteWebhook(id);
    }
  });
});

Deno.test("two runs at once end with one subscription, whose secret both have, in every order of their calls", async () => {
  let time = Date.UTC(2026, 11, 1);
  const now = () => time += 1;
  await withScene(async (scene) => {
    const text = await scene.text();
    for (let order = 0; order < 64; order++) {
      scene.simulator.reset();
      const turns = [0, 1, 2, 3, 4, 5].map((bit) => (order >> bit) & 1);
      const { fetchOf, over } = inTurns(turns);
      const files = [scene.envFile, `${scene.envFile}.other`];
      const runs = files.map(async (file, index) => {
        await Deno.writeTextFile(file, text);
        const args = [...REGISTER_BLR, "--env-file", file];
        const ended = await run(args, { fetch: fetchOf(index) });
        over(index);
        return ended;
      });
      for (const { status, said } of await Promise.all(runs)) {
        assertEquals(status, 0, `order ${order}: ${said}`);
      }
      const { secret } = await checkRegistered(scene);
      for (const file of files) {
        assertStringIncludes(
          await Deno.readTextFile(file),
          `SECRET=${secret}\n`,
          `order ${order}`,
        );
      }
    }
  }, { now, rateLimitPerMinute: 10_000 });
});

Deno.test("after a create whose answer is lost, the next run finds it and makes no second one", async () => {
  await withScene(async (scene) => {
    const path = "/v2/webhooks/create";
    const fault = scene.simulator.faults.add({
      path,
      when: "after",
      close: true,
    });
    const lost = await scene.run(REGISTER_BLR);
    assertEquals(lost.status, 1);
    assertStringIncludes(lost.said, "Run it again");
    fault.remove();
    scene.writes();
    assertEquals((await scene.run(REGISTER_BLR)).status, 0);
    assert(!scene.writes().includes("create"));
    await checkRegistered(scene);
  });
});

Deno.test("a create that the network sends twice leaves one subscription", async () => {
  await withScene(async (scene) => {
    // Deno's fetch sends a POST again by itself when a connection that it has used before breaks.
    const twice: typeof fetch = async (input, init) => {
      if (`${input}`.includes("/create")) await fetch(input, init);
      return await fetch(input, init);
    };
    const { status, said } = await scene.run(REGISTER_BLR, { fetch: twice });
    assertEquals(status, 0, said);
    assertEquals(scene.writes(), ["create", "create", "delete"]);
    await checkRegistered(scene);
  });
});

Deno.test("a list that does not show what was created is no reason to create another", async () => {
  await withScene(async (scene) => {
    const empty: typeof fetch = (input, init) =>
      `${input}`.includes("/list")
        ? Promise.resolve(Response.json({ entries: [], has_more: false }))
        : fetch(input, init);
    const { status, said } = await scene.run(REGISTER_BLR, { fetch: empty });
    assertEquals(status, 1);
    assertStringIncludes(said, "Luma's list does not have it");
    assertEquals(scene.writes(), ["create"]);
  });
});

Deno.test("--set-secrets runs the CLI, also when nothing changed, and its failure is ours", async () => {
  await withScene(async (scene) => {
    const set = ["secrets", "set", "--env-file", scene.envFile];
    for (let round = 0; round < 2; round++) {
      const { status, said, cli } = await scene.run([
        "register",
        "--set-secrets",
      ]);
      assertEquals([status, cli], [0, [set]], said);
      assert(!said.includes("npx"));
    }
    const failed = await scene.run(["register", "--set-secrets"], {
      runCli: () => Promise.resolve({ code: 7 }),
    });
    assertEquals(failed.status, 1);
    assertStringIncludes(failed.said, "supabase ended with 7. Run it again:");
    // A hosted project is named: nothing needs to be linked.
    const hosted = await scene.run(["register", "--set-secrets"], {
      vars: {
        LUMA_FUNCTIONS_URL:
          "https://abcdefghijklmnopqrst.supabase.co/functions/v1",
      },
    });
    assertEquals(hosted.cli, [[
      ...set,
      "--project-ref",
      "abcdefghijklmnopqrst",
    ]]);
    const { cli } = await scene.run(["delete", "--set-secrets"]);
    assertEquals(cli, [[
      "secrets",
      "unset",
      "LUMA_BLR_WEBHOOK_SECRET",
      "LUMA_ZO_EVENTS_WEBHOOK_SECRET",
    ]]);
  });
});

Deno.test("delete removes ours and empties the line of the secret", async () => {
  await withScene(async (scene) => {
    const before = await scene.text();
    await scene.run(["register"]);
    await scene.luma.createWebhook({ url: `${ADDRESS}/`, event_types: ["*"] });
    scene.writes();
    const { status, said } = await scene.run(["delete"]);
    assertEquals(status, 0, said);
    assertEquals(scene.writes(), ["delete", "delete", "delete"]);
    assertEquals(await subscriptions(scene), []);
    assertEquals(
      await scene.text(),
      `${before}LUMA_ZO_EVENTS_WEBHOOK_SECRET=\n`,
    );
    assertStringIncludes(
      said,
      "secrets unset LUMA_BLR_WEBHOOK_SECRET LUMA_ZO_EVENTS_WEBHOOK_SECRET",
    );
    const again = await scene.run(["delete"]);
    assertEquals([again.status, scene.writes()], [0, []]);
    assertEquals(
      again.said,
      "blr: nothing is registered.\nzo_events: nothing is registered.",
    );
  });
});

Deno.test("list shows every subscription, and of foreign addresses no password and no query", async () => {
  await withScene(async (scene) => {
    await scene.run(REGISTER_BLR);
    const foreign = await scene.luma.createWebhook({
      url: "https://user:hidden@example.com/hook?token=hidden",
      event_types: ["*"],
    });
    await scene.luma.updateWebhook({ id: foreign.id, status: "paused" });
    const ours = await checkRegistered(scene);
    scene.writes();
    const { status, said } = await scene.run(["list"]);
    assertEquals([status, scene.writes()], [0, []]);
    assertEquals(
      said,
      `blr:
  ${ours.id}  active  ${EVENT_TYPES.join(", ")}
    ${ADDRESS} (ours); its secret is in ${scene.envFile}
  ${foreign.id}  paused  all (*)
    https://example.com/hook?…; its secret is not in ${scene.envFile}
zo_events: no subscriptions`,
    );
  });
});

Deno.test("a refused key is named, and the other calendar is registered all the same", async () => {
  await withScene(async (scene) => {
    const { status, said } = await scene.run(["register"], {
      vars: { LUMA_BLR_API_KEY: "not-a-key" },
    });
    assertEquals(status, 1);
    assertStringIncludes(said, "blr: Luma refuses LUMA_BLR_API_KEY: ");
    assertStringIncludes(said, "zo_events: created ");
    assertStringIncludes(said, "secrets set --env-file");
    assert(!said.includes("not-a-key"), said);
    assert((await scene.variables())["LUMA_ZO_EVENTS_WEBHOOK_SECRET"]);
  });
});

Deno.test("a Luma that is not there, or fails, ends with 1 and says what to do", async () => {
  await withScene(async (scene) => {
    const { port } = new URL(scene.simulator.url);
    await scene.simulator.stop();
    const { status, said } = await scene.run(REGISTER_BLR);
    assertEquals(status, 1);
    assertStringIncludes(
      said,
      `blr: Luma was not reached at http://127.0.0.1:${port}: GET /v1/webhooks/list`,
    );
  });
  await withScene(async (scene) => {
    scene.simulator.faults.add({ path: "/*", status: 503, message: "busy." });
    const { status, said } = await scene.run(REGISTER_BLR);
    assertEquals(status, 1);
    assertEquals(
      said,
      "blr: GET /v1/webhooks/list answered 503: busy. Run it again: what is done already is not done twice.",
    );
  });
});

Deno.test("an .env file that is not there is created, with the settings from the environment", async () => {
  await withScene(async (scene) => {
    const vars = await scene.variables();
    await Deno.remove(scene.envFile);
    const { status, said } = await scene.run(REGISTER_BLR, { vars });
    assertEquals(status, 0, said);
    const { secret } = await checkRegistered(scene);
    assertEquals(
      await scene.text(),
      `LUMA_BLR_WEBHOOK_SECRET=${secret}\n`,
    );
    assertEquals(Deno.statSync(scene.envFile).mode! & 0o777, 0o600);
  });
});

Deno.test("a file that cannot be written is named, and the next run goes on from there", async () => {
  await withScene(async (scene) => {
    const vars = await scene.variables();
    const envFile = `${scene.envFile}-nowhere/.env`;
    const args = [...REGISTER_BLR, "--env-file", envFile];
    for (let round = 0; round < 2; round++) {
      const { status, said } = await run(args, { vars });
      assertEquals(status, 1);
      assertStringIncludes(said, `blr: ${envFile} cannot be written`);
    }
    await scene.run(REGISTER_BLR);
    await checkRegistered(scene);
  });
});

Deno.test("what it cannot be called with is told with the help, and status 2", async () => {
  const calls: [string[], string][] = [
    [[], "A command is missing."],
    [["renew"], '"renew" is no command.'],
    [["toString"], '"toString" is no command.'],
    [["list", "blr"], '"list blr" is no command.'],
    [["list", "--loud"], "--loud"],
    [["list", "--calendar"], "--calendar"],
  ];
  for (const [args, problem] of calls) {
    const { status, said } = await run(args);
    assertEquals(status, 2);
    assertStringIncludes(said, problem);
    assertStringIncludes(said, "deno task webhooks <register|list|delete>");
  }
  const help = await run(["--help"]);
  assertEquals(help.status, 0);
  assertStringIncludes(help.said, "--calendar <key>");
});

Deno.test("the task runs as a program, with the process's variables before those of the file", async () => {
  await withScene(async (scene) => {
    const task = async (env: Record<string, string>) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          new URL("./webhooks.ts", import.meta.url).pathname,
          "register",
          "-e",
          scene.envFile,
        ],
        env: { NO_COLOR: "1", ...env },
      }).output();
      const decoder = new TextDecoder();
      return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
    };
    const LUMA_ZO_EVENTS_API_KEY = "";
    const good = await task({ LUMA_ZO_EVENTS_API_KEY });
    assertEquals(good.code, 0, good.said);
    const bad = await task({ LUMA_BLR_API_KEY: KEYS.zo_events });
    assertEquals(bad.code, 1);
    assertStringIncludes(bad.said, "are the same key");
  });
});
