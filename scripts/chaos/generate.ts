/** The acts of a history: a function of its seed alone. */
import {
  type Act,
  type AdminAct,
  type AppAct,
  type FaultAct,
  FIELDS,
  type History,
  type LumaAct,
} from "./acts.ts";
import { LUMA_ROUTES } from "../../supabase/functions/_shared/luma/routes.ts";
import { CALLERS, waysAt } from "./kill_points.ts";
import { Chooser } from "./random.ts";

/** People who use the app; the others are on Luma only. */
export const USERS = ["u1", "u2", "u3", "u4", "u5"];
const PEOPLE = [...USERS, "x1", "x2"];
const CULTURES = ["food", "game", "default"];
const RSVPS = [
  "going",
  "going",
  "going",
  "not_going",
  "waitlist",
  "interested",
];

/** Calls that every history makes: traps there are sprung soon. The others wait for theirs. */
const BUSY = [
  "luma_drain_start",
  "luma_claim",
  "luma_created",
  "luma_acknowledge",
  "luma_settle_guests",
  "luma_event_read",
  "luma_take_permits",
  "luma_apply_deliveries",
  "luma_drain_end",
  "luma_receive_webhook",
  LUMA_ROUTES.createEvent,
  LUMA_ROUTES.updateEvent,
  LUMA_ROUTES.lookupSlug,
  LUMA_ROUTES.getEvent,
  LUMA_ROUTES.addGuests,
  LUMA_ROUTES.updateGuestStatus,
  LUMA_ROUTES.listGuests,
];

/** No more than these are alive at a time, so that all have something happen to them. */
const EVENTS_MAX = 10;

/** A clock is set by so much at most. */
const CLOCK_STEP_S = 3;

/** So many acts after it an outage is over. */
const OUTAGE_ACTS = 4;

export interface Options {
  contended?: boolean;
  /** For a world in process: more faults, clocks that are set, and time to recover in every history. */
  inProcess?: boolean;
}

export function history(
  seed: number,
  steps: number,
  options: Options = {},
): History {
  return new Author(seed, options).write(steps);
}

class Author {
  readonly #choose: Chooser;
  readonly #events: number[] = [];
  readonly #theirs = new Set<number>();
  readonly #later = new Map<number, Act[]>();
  readonly #config;
  #n = 0;

  constructor(readonly seed: number, readonly options: Options) {
    this.#choose = new Chooser(seed);
    const lossy = seed % 3 === 2;
    this.#config = {
      // Of a word that is overwritten and whose webhook is lost nobody can know.
      contended: options.contended ?? (!lossy && seed % 2 === 0),
      lossy,
      cancelOnLuma: seed % 4 === 3,
      callsPerMinute: seed % 5 === 4 ? 200 : 2_000,
    };
  }

  /** In every fourth history, because it takes as long as a lease. */
  get #mayRecover(): boolean {
    return this.options.inProcess || this.seed % 4 === 0;
  }

  write(steps: number): History {
    const acts: Act[] = [this.#create(), this.#hostCreate(), this.#create()];
    while (acts.length < steps) {
      if (this.#mayRecover && acts.length === Math.floor(steps / 2)) {
        acts.push({ do: "recover" });
      }
      const due = this.#later.get(acts.length) ?? [];
      acts.push(...due, this.#next(acts.length));
    }
    for (const act of acts) act.pause = this.#pause();
    return {
      seed: this.seed,
      config: this.#config,
      acts: acts.slice(0, steps),
    };
  }

  /** Mostly so short that calls are under way, at times long enough for a drain to end. */
  #pause(): number {
    const choose = this.#choose;
    return choose.chance(0.15) ? 300 + choose.below(500) : choose.below(120);
  }

  #next(at: number): Act {
    const side = this.#choose.weighted({
      app: 38,
      luma: 24,
      admin: 5,
      fault: this.options.inProcess ? 60 : 33,
    });
    if (side === "app") return this.#app();
    if (side === "luma") return this.#luma();
    return side === "admin" ? this.#admin(at) : this.#fault(at);
  }

  #app(): AppAct {
    const choose = this.#choose;
    const what = choose.weighted({
      create: 4,
      edit: 12,
      culture: 1,
      price: 1,
      rsvp: 14,
      unrsvp: 2,
      status: 3,
      delete: 0.5,
      together: 3,
    });
    if (what === "create") return this.#create();
    if (what === "together") {
      const acts: AppAct[] = Array.from(
        { length: 2 + choose.below(3) },
        () => choose.chance(0.7) ? this.#rsvp() : this.#edit(),
      );
      return { do: what, acts };
    }
    const event = choose.of(this.#events);
    switch (what) {
      case "edit":
        return this.#edit();
      case "rsvp":
        return this.#rsvp();
      case "culture":
        return { do: what, event, culture: choose.of(CULTURES) };
      case "price":
        return { do: what, event, n: ++this.#n };
      case "unrsvp":
        return { do: what, event, user: choose.of(USERS) };
      case "status":
        return {
          do: what,
          event,
          status: choose.of(["cancelled", "approved", "approved"]),
        };
      case "delete":
        return { do: what, event };
    }
  }

  #edit(): AppAct {
    return {
      do: "edit",
      event: this.#choose.of(this.#events),
      field: this.#choose.of(FIELDS),
      n: ++this.#n,
    };
  }

  #rsvp(): AppAct {
    const choose = this.#choose;
    return {
      do: "rsvp",
      event: choose.of(this.#events),
      user: choose.of(USERS),
      status: choose.of(RSVPS),
    };
  }

  #number(): number {
    const event = ++this.#n;
    this.#events.push(event);
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
    return event;
  }

  #create(): AppAct {
    const choose = this.#choose;
    return {
      do: "create",
      event: this.#number(),
      culture: choose.chance(0.4) ? choose.of(CULTURES) : null,
      priced: choose.chance(0.15),
      going: choose.chance(0.4) ? choose.of(USERS) : null,
    };
  }

  #hostCreate(): LumaAct {
    const event = this.#number();
    this.#theirs.add(event);
    return { do: "host-create", event };
  }

  #luma(): LumaAct {
    const choose = this.#choose;
    const what = choose.weighted({
      create: 2,
      edit: 10,
      cancel: 0.5,
      guest: 6,
      register: 7,
    });
    if (what === "create") return this.#hostCreate();
    const event = choose.of(this.#events);
    switch (what) {
      case "edit":
        return {
          do: "host-edit",
          event,
          field: choose.of(FIELDS),
          n: ++this.#n,
        };
      case "cancel":
        return { do: "host-cancel", event };
      case "guest":
        return {
          do: "host-guest",
          event,
          user: choose.of(PEOPLE),
          status: choose.of(["approved", "declined", "waitlist"]),
        };
      case "register":
        return { do: what, event, user: choose.of(PEOPLE) };
    }
  }

  #admin(at: number): AdminAct {
    const choose = this.#choose;
    const what = choose.weighted({
      pull: 5,
      drain: 3,
      retry: 1,
      pause: 1,
      mode: 1,
    });
    if (what === "pause") {
      const calendar = choose.of(["blr", "zo_events"]);
      this.#after(at, { do: "resume", calendar });
      return { do: what, calendar };
    }
    if (what === "mode") {
      this.#after(at, { do: what, mode: "live" });
      return { do: what, mode: "off" };
    }
    return { do: what };
  }

  #fault(at: number): FaultAct {
    const choose = this.#choose;
    if (this.options.inProcess && choose.chance(0.04)) return this.#clock(at);
    const what = choose.weighted({
      trap: 60,
      webhooks: 12,
      kill: 8,
      functions: 3,
      database: 3,
      terminate: 4,
      net: 4,
      cron: 2,
      time: 2,
    });
    switch (what) {
      case "trap":
        return this.#trap();
      case "webhooks": {
        const ways = ["duplicate", "delay", "reorder"] as const;
        const how = this.#config.lossy && choose.chance(0.5)
          ? "drop"
          : choose.of(ways);
        return { do: what, how, count: 1 + choose.below(4) };
      }
      case "kill":
        return {
          do: what,
          name: choose.of([
            "luma-drain",
            "luma-drain",
            "luma-pull",
            "luma-webhook",
          ]),
        };
      case "functions":
        this.#after(at, { do: what, up: true });
        return { do: what, up: false };
      case "database":
        return {
          do: "crash-database",
          signal: choose.of(["SIGQUIT", "SIGINT"]),
          meanwhile: Array.from(
            { length: choose.below(3) },
            () => this.#luma(),
          ),
        };
      case "net":
        return { do: "wipe-net" };
      case "cron":
        this.#after(at, { do: what, on: true });
        return { do: what, on: false };
      case "terminate":
      case "time":
        return { do: what };
    }
  }

  #clock(at: number): FaultAct {
    const whose = this.#choose.of(["functions", "database"] as const);
    const ms = (1 + this.#choose.below(CLOCK_STEP_S)) * 1_000 *
      this.#choose.of([1, -1]);
    this.#after(at, { do: "clock", whose, ms: -ms });
    return { do: "clock", whose, ms };
  }

  #trap(): FaultAct {
    const choose = this.#choose;
    const point = choose.chance(0.6)
      ? choose.of(BUSY)
      : choose.of(Object.keys(CALLERS));
    const when = choose.of(["before", "after"] as const);
    // Frozen, a function waits for its lease to run out: seconds, so seldom.
    const ways = waysAt(point, when).filter((how) =>
      how !== "freeze" || choose.chance(this.options.inProcess ? 0.5 : 0.1)
    );
    return { do: "trap", point, when, how: choose.of(ways) };
  }

  #after(at: number, act: Act): void {
    const then = at + OUTAGE_ACTS;
    this.#later.set(then, [...this.#later.get(then) ?? [], act]);
  }
}
