/** A refusal that reaches the caller as `{ "message": … }` with this HTTP status. */
export class ApiError extends Error {
  override name = "ApiError";
  constructor(readonly status: number, message: string) {
    super(message);
  }
}
