"""Code whose results are those of earlier code, byte for byte: its outputs keep their keys, and nothing reruns.

A release that changes the code behind an output, but not the output, has it in `_REPEATED`: under the digest of the
code whose results it repeats, that of the new code. `tests/reliability/test_same_results.py` runs both and compares
bytes, and `make same-results` writes the table.
"""

from collections.abc import Mapping

_REPEATED = {
    "2241c17ed8fe02dc4727ffe09458d2804aae3ce0830b91b33ab0db910f660498": [
        "40dc49bea6d9e9223aca78eb52c1783b3e3447e38049a27c3cf907ca5bd91986",  # corpus sample
    ],
    "a63693b9124150275738c208533f262c249dac341de9375e32c2bc0ce6c4137b": [
        "ca8bc42ffbfbf62fe9d98967dfd3dd06eb67ad072bcde796af3630ea1fb0c317",  # corpus snli
    ],
    "08efbf8ea36aec2b8e32a5fa39edff2d6ae0899925afb6736290ea6f50a22240": [
        "63c91051c4676736b1c57905ec2771d52e8df47d096e74df6d783eee454fa80a",  # corpus ag_news
    ],
    "2317d6d7ea057ddde734fb4b2da3d2f654bcc50b0a922cb04b13f57a2e52951e": [
        "02db7a7821131bad1e5dc451a56da2c8cac605c523d9ea383e9fda899acc9347",  # corpus files
    ],
    "15e2b16189177d6d0a3f2f190e3b64a9208f22c47861114cdfa1f061569a0dab": [
        "07b5ad6b2040df9937f17ef79c2cb2733a4b400b6c2811c07e8478756d530691",  # pack
    ],
    "42d8386ce647d45594a8079a7b5391dbe50338a5c2e35b288f8b005e963ef013": [
        "fbd5965ee167065ad63cec82a0312d39849212c1446701f697b0139c0e8a06a4",  # challenge_shards
    ],
    "add6ea8a492d3975f5cc6eb22edb3d27f50ba517d2c5e76d1bae31e5e3009961": [
        "3077bb2db09817f98330b517ab01843148196a99f28efbb5ce13e25839757ed7",  # audit
    ],
    "74d36d97b45ed9b2fb0052cf8066d12d8592c774e2b6fb613c0a45d62c07d668": [
        "ed6257b2864613b9efdd91fb156c007718cbc86dda1aa2eb61e65e1fc7bc3d9f",  # evaluate bert
    ],
    "e5e6bb8f4a4a17f0663c81ddbef11da4a570d59ddd7e9bfd727da61677db5d0b": [
        "0541fa835f4a9c66c2d3e372c7c20c309a32b2018465cf5ca83b492c7cdbadf1",  # evaluate camembert
    ],
    "2f3be56d6773c7a39c20d32c49592c555ab74a21fef602867f58c7350977956b": [
        "677b0a46f3ad6a93c14078ec89e999b2b0ba86e1f7b0aa92b80cfe9b88e457b0",  # evaluate d2l
    ],
    "1804a212315a81111aff6e5fc6716d75955aeb1d08e94603e5de251f7b3a2132": [
        "f2797dad7851398822fbdf7c177303b546d3247e5f48931ded03b622dc984dd8",  # evaluate distilbert
    ],
    "dd7ed3ba679e708839b016c92ef8d991d2c68a12825c36fb037979a5b5d86b9d": [
        "88af194d0ddfe492a86da827ba6fdccb78c9b96cb71fa6213d0d8651de9caf56",  # evaluate electra
    ],
    "1d29f94df2a3aaad40d28a0d4b1377ed0991f43eb4d4d3fb5f16df471101842e": [
        "53a269c3d2bf2cadfab83581ab253eb56f4ad06d0ac3757ce880347c8d2ed423",  # evaluate modernbert
    ],
    "3acd417f23cd1b85d839cf4d674f01c15a277e2d12b2019a2e6900863a34bf2d": [
        "9523928e69b360619abb35256f57bb7b6fe3f5c54297eb4d6a4a37f6920da198",  # evaluate other
    ],
    "5a8cc03a3554d9a5e07974d8743ff9fd9b60eadd3a1d1faae72c1d83a4da13a6": [
        "7c9e61e41f3a8b3047c9a1cdf6a7ea8c06eb53a32f91637ff84d9ee174069535",  # evaluate roberta
    ],
    "9e940156249618055a1236437a344214f30811c54ad836671b99123cff4a3c86": [
        "2abc921e844030bfe38a25ba0d68b9679edcfdfb9294b6efcac8b26d251b799b",  # evaluate transformer
    ],
    "e7e11f832c32f8abb58c7bceb3acd25ec06794498a0625a0ecb81dd83a3cf87a": [
        "ec9e4da18c183cf9f2f28d31d98cd7face33bbddb75836ff4826db22dea8680d",  # evaluate xlm_roberta
    ],
}
SAME_RESULTS: Mapping[str, str] = {code: earlier for earlier, codes in _REPEATED.items() for code in codes}
