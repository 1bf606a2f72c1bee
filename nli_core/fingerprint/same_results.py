"""Code whose results are those of earlier code, byte for byte: its outputs keep their keys, and nothing reruns.

A release that changes the code behind an output, but not the output, adds to `_REPEATED`: under the digest of the code
whose results it repeats, that of the new code. `tests/reliability/test_same_results.py` runs both and compares bytes.
"""

from collections.abc import Mapping

_REPEATED = {
    # pack
    "15e2b16189177d6d0a3f2f190e3b64a9208f22c47861114cdfa1f061569a0dab": [
        "c8400309b8d41124012194d8a75bc38ed3546bfb9b8daa89d5879ed8e794e1e6",
    ],
    # challenge_shards
    "42d8386ce647d45594a8079a7b5391dbe50338a5c2e35b288f8b005e963ef013": [
        "17860e6611f450e2d07cd861ddc6bb999a2faac2f4803c9263722893e8f157e8",
    ],
    # audit
    "add6ea8a492d3975f5cc6eb22edb3d27f50ba517d2c5e76d1bae31e5e3009961": [
        "21dac811b06d67564d1a247ad13251c24c4219bc9a9c0aaee7ac754b17772f70",
    ],
    # finetune bert, finetune d2l, finetune transformer
    "07f1b4bf3fce18960fde7fc6ef27ff736897c9f8b54053a2b76410e97b71d168": [
        "aaa09d83f20150a820ec660c0fd08a8d1e33784dec23ce87e953e91bce99e57e",
        "9ea96cc89df0fbe3e4dd4610e5fa226223ab92979570fc8b462dc58fdb6551a2",
        "9d8bbdda314761e553752c0225f9d339d036d4f0d567104268ab88b7c166ee04",
    ],
    # evaluate bert, evaluate d2l, evaluate transformer
    "409a5e4222a4c74b4d760229a8ab1300e0199d71472427c6084b8e7395553b49": [
        "c6d37e40b33da750b7848ac0f8adbf1de82b935ab54d96787d4e9d27bb146eec",
        "0804632f38fc3bf164bcb14dc2dd09ab2395159c43f0da6c16beed846709b063",
        "0b6fce001cd84cea8d95c50652fa3337d4913f094083e71dc756595868b6a0e4",
    ],
}
SAME_RESULTS: Mapping[str, str] = {code: earlier for earlier, codes in _REPEATED.items() for code in codes}
