/** The part of omggif that covers need; the package ships no types. */
export class GifReader {
  /** @throws Error when the structure of the file is broken or cut short */
  constructor(bytes: Uint8Array);
  readonly width: number;
  readonly height: number;
  /** @throws Error when there is no such frame */
  frameInfo(
    frame: number,
  ): { x: number; y: number; width: number; height: number };
  /** Draws the frame's pixels into an RGBA canvas of the reader's width and height. */
  decodeAndBlitFrameRGBA(frame: number, canvas: Uint8ClampedArray): void;
}

/** For making test images. */
export class GifWriter {
  constructor(
    into: Uint8Array,
    width: number,
    height: number,
    options: { palette: number[]; loop?: number },
  );
  /** `delay` in hundredths of a second; `transparent` is an index of the palette. */
  addFrame(
    x: number,
    y: number,
    width: number,
    height: number,
    indices: Uint8Array,
    options?: { delay?: number; transparent?: number },
  ): void;
  /** Ends the file and returns its length. */
  end(): number;
}
