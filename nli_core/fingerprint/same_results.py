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
        "fb3c8ff9591ceb3cf055ff9c2b7b1494210bac8ec57c977fe40698e0dad49fa9",  # corpus files
    ],
    "15e2b16189177d6d0a3f2f190e3b64a9208f22c47861114cdfa1f061569a0dab": [
        "6ef0bea35c10f95466489ed3e42360d28637ed9b2bfc46cae0ec43d28de3fe39",  # pack
    ],
    "42d8386ce647d45594a8079a7b5391dbe50338a5c2e35b288f8b005e963ef013": [
        "8b416ead1cdbaa3f369bc930887461473574a958473416e4e36fa2d29e5ac6d7",  # challenge_shards
    ],
    "add6ea8a492d3975f5cc6eb22edb3d27f50ba517d2c5e76d1bae31e5e3009961": [
        "836dd4d3ea2156cb07e1361099869e9fe2decbcc551024abb8c19cb71ef2c1fd",  # audit
    ],
    "0afffa2bb5cd95ca9316d50f26eac813ef407369cc041b1d7e1b7c6360e4f411": [
        "eb00a6366b1378776ac00122933899672d7a76e9bcd59ca86d8f7c59b2c023bd",  # finetune bert
    ],
    "0bf46977e7692f929c0377d251847fe4cb31a98fc259fff58d164df48fa2c403": [
        "3715edb6840f26815b102a478eb63d3b82e5997f001a1b3ec690fd3baafc89ef",  # finetune camembert
    ],
    "3f8adc736a967b07373ee85d7cb26cefd17c46a8c983e7086c859d38590e83f0": [
        "332e35db768d9747dddd44d3171f54de40925e8135b348884ff5aceb02234834",  # finetune d2l
    ],
    "a9666c8ba5250b744b1a7d8ef64432c5a14d6e20d0bd76028374ff4b9121a2e9": [
        "49e797891260789c20d0c20630e8bb2639ca7726b1d2a3d51103dd2015b39e51",  # finetune distilbert
    ],
    "422755b2f874ac394f91da0512f347158992bce610444890b0e053c926a83eb1": [
        "3ba93bd69d06efa2766d6c421e8164ebc4c3c8069071257e5be4f4e5f2c61882",  # finetune electra
    ],
    "82b8ee433868413e75d460197f7ccaa8a0a5dc9e41638b7f678ccc58a3a8b3f0": [
        "357005df8aef299d5b072587851f0f647568b896cda7f155829f6cd76901e56e",  # finetune modernbert
    ],
    "d292a1c2432d86ee523c9f704e73e4a9e2f931a1e350c5e27e1a1181d0951b8d": [
        "d51d2d366319b0bdd4b0e6dfc6c9a9ef69f5e2de86fc0820caee6e6e15e692d9",  # finetune other
    ],
    "d9051b15f54bbb566b21a114c95c3bad443112f41322776b62f30aa020662c79": [
        "59a31b33dc87502afd400de608b830dc6d768a408cc70b649fc1cbd038d4b3bd",  # finetune roberta
    ],
    "27aabc7c3f6772f35f3043e5f9bbf432567468dc061e886655da123be608e0e4": [
        "95c1f554297d9cc241d762a1a6e8973f80f14335d4a55a26b4be7feaca9d95de",  # finetune transformer
    ],
    "378d093a461151c16cc295e3cbe48b794d698726847828dbcc6450b0098dc95d": [
        "e52c85c923b8656721383ce715522fb4ba7d19ee0837cb98a1f7952541f14f34",  # finetune xlm_roberta
    ],
    "74d36d97b45ed9b2fb0052cf8066d12d8592c774e2b6fb613c0a45d62c07d668": [
        "a58a55eb8ef1b85532235c454b894c822c058e28f3b50abd48de5e4f44bc40e4",  # evaluate bert
    ],
    "e5e6bb8f4a4a17f0663c81ddbef11da4a570d59ddd7e9bfd727da61677db5d0b": [
        "558cb2097baf6d8cfe10176b9ea40fae5e0384eefb0d30e2e44703b5c0881436",  # evaluate camembert
    ],
    "2f3be56d6773c7a39c20d32c49592c555ab74a21fef602867f58c7350977956b": [
        "6b73bb249baf479381257cb400a2017f82e165455911984c1a9b52cb3f7ea96d",  # evaluate d2l
    ],
    "1804a212315a81111aff6e5fc6716d75955aeb1d08e94603e5de251f7b3a2132": [
        "0ef3bee2534cd1bc06e0ad3385e20642abbbf0083b2962208d250f55648d71f4",  # evaluate distilbert
    ],
    "dd7ed3ba679e708839b016c92ef8d991d2c68a12825c36fb037979a5b5d86b9d": [
        "802e798221edff04a3a40f7f91ab6f2d14ef55998631f232e90c82eade2fcebb",  # evaluate electra
    ],
    "1d29f94df2a3aaad40d28a0d4b1377ed0991f43eb4d4d3fb5f16df471101842e": [
        "d84bf15d17336ed7308b6cc5c97064650fe4ebfed6fd197d93819b8d6568b2d2",  # evaluate modernbert
    ],
    "3acd417f23cd1b85d839cf4d674f01c15a277e2d12b2019a2e6900863a34bf2d": [
        "0ba3d5743d1974113dab8a6b06376cec7602b49eefb12cd215440164700f81b9",  # evaluate other
    ],
    "5a8cc03a3554d9a5e07974d8743ff9fd9b60eadd3a1d1faae72c1d83a4da13a6": [
        "50f2587b19b17745ed1cd10c03cc124a40c7cdbe717d048ed7a422f79d1a2408",  # evaluate roberta
    ],
    "9e940156249618055a1236437a344214f30811c54ad836671b99123cff4a3c86": [
        "ebbbafb5301a9eccd4d01d922cc040711ce24b6f56cabc40d3c830190c46774c",  # evaluate transformer
    ],
    "e7e11f832c32f8abb58c7bceb3acd25ec06794498a0625a0ecb81dd83a3cf87a": [
        "b0ea930210b83055e5633a8bda5a29a4aad01089bc73c5564474a704dffa539e",  # evaluate xlm_roberta
    ],
}
SAME_RESULTS: Mapping[str, str] = {code: earlier for earlier, codes in _REPEATED.items() for code in codes}
