import type { ImageType } from "../inputs.ts";
import { LUMA_ROUTES as R } from "../routes.ts";
import type { CallOptions, Transport } from "../transport.ts";
import * as T from "../types.ts";

/** Uploading covers. */
export function imageMethods({ call, put }: Transport) {
  return {
    /** An address to upload one image to, and the address it will have on Luma's CDN. */
    createUploadUrl: (contentType: ImageType, options?: CallOptions) =>
      call(R.createUploadUrl, {
        body: { content_type: contentType },
        schema: T.UploadUrl,
        ...options,
      }),

    /** Sends the image to the `upload_url` of createUploadUrl, of the same type. No call to Luma's API, and without the key. */
    uploadImage: (
      uploadUrl: string,
      bytes: Uint8Array<ArrayBuffer>,
      contentType: ImageType,
      options: CallOptions = {},
    ): Promise<void> => put(uploadUrl, bytes, contentType, options),
  };
}
