/** What a webhook is compared with: a function that checks nothing, does one insert through the Data API, and answers. */
const url = `${Deno.env.get("SUPABASE_URL")}/rest/v1/rpc/luma_bench_insert`;

Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.args[0]) },
  async (request) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        id: request.headers.get("webhook-id"),
        payload: await request.text(),
      }),
    });
    await response.body?.cancel();
    return Response.json({ result: response.ok ? "stored" : "failed" }, {
      status: response.ok ? 200 : 500,
    });
  },
);
