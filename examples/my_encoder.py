"""An encoder of one's own in ten lines: `fuselip-bench run --model ./my_encoder.py:MyEncoder --suite quick`."""

import zlib

import numpy as np


class MyEncoder:
    def encode(self, inputs):
        rows = np.full((len(inputs), 192 + 256), 0.01, np.float32)
        for row, item in zip(rows, inputs, strict=True):
            if item.image is not None:
                row[:192] += np.asarray(item.image.load().resize((8, 8))).ravel() / 255
            for word in item.text.lower().split():
                row[192 + zlib.crc32(word.encode()) % 256] += 1
        return rows
