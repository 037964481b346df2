"""What the demo asks for: one request for each model, and how long the emulator takes for it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from liangxin import models
from liangxin._tasks import ModelInput
from liangxin.emulator import GUESSED_SLUGS


def scenes() -> Sequence[ModelInput]:
    """One input for each model; the first is the example of the service's documentation."""
    return (
        models.NanoBananaProFlash(
            prompt="A clean app icon for an AI video editor, vivid but minimal",
            aspect_ratio="1:1",
            resolution="1K",
            use_google_search_tool=False,
            output_format="png",
        ),
        models.KlingV3Pro(
            prompt="A paper boat sails down a rain gutter at street level, slow camera, soft light",
            aspect_ratio="16:9",
            duration="5",
        ),
        models.NanoBananaPro(
            prompt="A mountain valley at dawn in cut paper, seven layers of blue fading into mist",
            aspect_ratio="16:9",
            resolution="2K",
        ),
        models.SeedreamV5Lite(
            prompt="江南水乡的清晨，薄雾里的石桥和乌篷船，水墨淡彩",
            aspect_ratio="3:2",
        ),
        models.Flux2Pro(
            prompt="Poster for a jazz night in a greenhouse: ferns, a saxophone, bold flat shapes",
            width=1080,
            height=1440,
            input_image="https://example.com/references/greenhouse.jpg",
        ),
        models.Imagen4Ultra(
            prompt="A tea set the colour of storm clouds, studio light, plain linen backdrop",
            aspect_ratio="4:3",
            output_format="jpeg",
            compression_quality=90,
        ),
        models.SeedreamV45(
            prompt="A night train crosses a salt flat under the Milky Way, all windows lit",
            aspect_ratio="21:9",
            seed=1895,
        ),
        models.SeedreamV45Edit(
            prompt="The same kitchen in late autumn light, with a bowl of quinces on the table",
            reference_images=["https://example.com/references/kitchen.jpg"],
            aspect_ratio="4:3",
        ),
        models.ZImage(
            prompt="Cutaway of a lighthouse, every room furnished, the keeper reading at the top",
            image_size="portrait_9_16",
            output_format="png",
        ),
        models.Gemini25FlashImagePreview(
            prompt="A folding bicycle drawn as a patent figure: fine ink lines, numbered parts",
        ),
        models.SeedreamV5LiteEdit(
            slug=GUESSED_SLUGS["SeedreamV5LiteEdit"],  # documented is none
            prompt="Turn the sketch into a linocut in two colours; keep the pose of the heron",
            reference_images=[
                "https://example.com/references/heron.png",
                "https://example.com/references/linocut.jpg",
            ],
            aspect_ratio="3:4",
        ),
        models.Imagen4Fast(
            prompt="Frost on a red maple leaf, macro photograph, the sun just behind it",
            aspect_ratio="16:9",
            output_format="jpeg",
        ),
    )


def durations(inputs: Sequence[ModelInput], seed: int) -> dict[str, float]:
    """Seconds for each model: pictures 1.5 to 6.5, the clip a little longer than all of them."""
    chance = random.Random(f"demo {seed}")
    return {
        scene.slug: 7.5 if scene.kind == "video" else chance.uniform(1.5, 6.5) for scene in inputs
    }
