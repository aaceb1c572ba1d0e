/** pg_net's worker in process: sends what the database has queued, together, and keeps the answers. */
import type postgres from "postgres";
import type { FunctionName } from "../kill_points.ts";
import type { VirtualClock } from "./clock.ts";

const NAME = /\/functions\/v1\/(luma-drain|luma-pull)$/;

export class NetQueue {
  isPaused = false;
  /** The worker was cut off: what it is sending stays queued, and is sent again. */
  isCut = false;
  #isSending = false;

  constructor(
    private readonly admin: postgres.Sql,
    private readonly clock: VirtualClock,
    private readonly send: (
      name: FunctionName,
      request: Request,
    ) => Promise<Response>,
  ) {}

  /** Sends what is there, unless a batch is under way. */
  async look(): Promise<void> {
    if (this.isPaused || this.#isSending) return;
    const [waiting] = await this.admin`
      select exists (select from net.http_request_queue) as waits`;
    if (!waiting?.waits || this.#isSending) return;
    this.#isSending = true;
    this.clock.after(2, () => void this.#sendBatch());
  }

  async #sendBatch(): Promise<void> {
    this.isCut = false;
    const requests = await this.clock.during(async () =>
      await this.admin`
        select id, url, headers, convert_from(body, 'UTF8') as body from net.http_request_queue order by id limit 200`
    );
    const answers = await Promise.all(requests.map(async (row) => {
      const name = NAME.exec(row.url)?.[1] as FunctionName | undefined;
      if (!name) throw new Error(`Nobody is at ${row.url}`);
      const { headers, body, url } = row;
      const request = new Request(url, { method: "POST", headers, body });
      const answer = await this.send(name, request);
      return {
        id: row.id,
        status_code: answer.status,
        content: await answer.text(),
        timed_out: false,
      };
    }));
    await this.clock.during(async () => {
      if (!this.isCut && answers.length > 0) {
        const { admin } = this;
        await admin`insert into net._http_response ${admin(answers)}`;
        await admin`delete from net.http_request_queue where id = any(${
          answers.map(({ id }) => id)
        }::bigint[])`;
      }
      this.#isSending = false;
      await this.look();
    });
  }
}
