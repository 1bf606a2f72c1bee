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
        "7e05e181bd21224e7d8b03240b563d24b4efa4460548506b866daa1993372d1f",  # pack
    ],
    "42d8386ce647d45594a8079a7b5391dbe50338a5c2e35b288f8b005e963ef013": [
        "d5ea71a4bbca90e73d68befeedb01f48b6efd71fe6b760aa8587d479619b1688",  # challenge_shards
    ],
    "add6ea8a492d3975f5cc6eb22edb3d27f50ba517d2c5e76d1bae31e5e3009961": [
        "3077bb2db09817f98330b517ab01843148196a99f28efbb5ce13e25839757ed7",  # audit
    ],
    "0afffa2bb5cd95ca9316d50f26eac813ef407369cc041b1d7e1b7c6360e4f411": [
        "32e7d32e438f5383f17a7d148c0360e659add0894a771fa775eabdeb50e70a91",  # finetune bert
    ],
    "0bf46977e7692f929c0377d251847fe4cb31a98fc259fff58d164df48fa2c403": [
        "a850885f26fe38621957dba3da981214b73333aad32efb2977735d03a825a593",  # finetune camembert
    ],
    "3f8adc736a967b07373ee85d7cb26cefd17c46a8c983e7086c859d38590e83f0": [
        "715e14a73af04057a9eff2a33872f6997ece05e04e68bf834869ed6cd11f05fd",  # finetune d2l
    ],
    "a9666c8ba5250b744b1a7d8ef64432c5a14d6e20d0bd76028374ff4b9121a2e9": [
        "783f4ed4ededc258000ecb3aa5d2cfc697215a635c39889aacd8d74962dc487f",  # finetune distilbert
    ],
    "422755b2f874ac394f91da0512f347158992bce610444890b0e053c926a83eb1": [
        "e479925ce50f276a2cfdb6b69e3ce32e8210fb8b7fc17bfb5110ea06b5a3fda2",  # finetune electra
    ],
    "82b8ee433868413e75d460197f7ccaa8a0a5dc9e41638b7f678ccc58a3a8b3f0": [
        "9c5603bc1fc18e5e33dcd75d7a4c6ceac786c5f565f3e842574dcf5f3b4303d5",  # finetune modernbert
    ],
    "d292a1c2432d86ee523c9f704e73e4a9e2f931a1e350c5e27e1a1181d0951b8d": [
        "3ca74d314f3bffefbaa3f9e83b77215934d9db53ff72deb63c801445e4171bcb",  # finetune other
    ],
    "d9051b15f54bbb566b21a114c95c3bad443112f41322776b62f30aa020662c79": [
        "108d7d3d50e3770e7669ea691ecfbcec300dc1bc814b3275292ef39a9abbca28",  # finetune roberta
    ],
    "27aabc7c3f6772f35f3043e5f9bbf432567468dc061e886655da123be608e0e4": [
        "e010fc0d90a59d29f44f27c8d9f887b3984ba291deed4876a1bccfa376284b9c",  # finetune transformer
    ],
    "378d093a461151c16cc295e3cbe48b794d698726847828dbcc6450b0098dc95d": [
        "50a7ee65c1ac7cd6284ecaa0cc31915e7d3da4c414c04e91bf3025036d0f1f1c",  # finetune xlm_roberta
    ],
    "74d36d97b45ed9b2fb0052cf8066d12d8592c774e2b6fb613c0a45d62c07d668": [
        "c28c28364a3bfa01baa04bffc8bd7d0c3e5534a4b6bc20f8affec4063dde1298",  # evaluate bert
    ],
    "e5e6bb8f4a4a17f0663c81ddbef11da4a570d59ddd7e9bfd727da61677db5d0b": [
        "df9e898e15c1e4191f0cbc10ef39fe7539f23fc60e24c67bdd1db642912ebc14",  # evaluate camembert
    ],
    "2f3be56d6773c7a39c20d32c49592c555ab74a21fef602867f58c7350977956b": [
        "1da5e1cdc00b85a363855383efae16a97de71e50da33b18cea98798968bdffca",  # evaluate d2l
    ],
    "1804a212315a81111aff6e5fc6716d75955aeb1d08e94603e5de251f7b3a2132": [
        "8a21ab36d7cbffdf57f1f86a84cd55b5a4591f1bef566c4c861bb58faf004c87",  # evaluate distilbert
    ],
    "dd7ed3ba679e708839b016c92ef8d991d2c68a12825c36fb037979a5b5d86b9d": [
        "81bd614430885938a1817c020cce38f972a92b81b5d7a94aecd3a7885d42f3a6",  # evaluate electra
    ],
    "1d29f94df2a3aaad40d28a0d4b1377ed0991f43eb4d4d3fb5f16df471101842e": [
        "bea168b37af868bee4640da8810b8f9f808de9f7fca424934d9b186cca14600a",  # evaluate modernbert
    ],
    "3acd417f23cd1b85d839cf4d674f01c15a277e2d12b2019a2e6900863a34bf2d": [
        "e1f57efb982bbf62c855f32d41591a109c42bfd4ff04e4906fb42d28a7a7e06a",  # evaluate other
    ],
    "5a8cc03a3554d9a5e07974d8743ff9fd9b60eadd3a1d1faae72c1d83a4da13a6": [
        "58f19e41f05bd5d932eb6615cc2d551fc82cecd1a2d41b71ebd716e1f8fc0ae5",  # evaluate roberta
    ],
    "9e940156249618055a1236437a344214f30811c54ad836671b99123cff4a3c86": [
        "022d5eb0a7d239150141bd81f3f46c9a5e15b5cb55c65e85d94286458644f975",  # evaluate transformer
    ],
    "e7e11f832c32f8abb58c7bceb3acd25ec06794498a0625a0ecb81dd83a3cf87a": [
        "a4116c79a6be5b42346719574b112ffd58a34f67b7535414660d85cdc578b9b4",  # evaluate xlm_roberta
    ],
}
SAME_RESULTS: Mapping[str, str] = {code: earlier for earlier, codes in _REPEATED.items() for code in codes}
