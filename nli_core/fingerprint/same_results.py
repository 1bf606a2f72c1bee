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
        "f60837c72d4f21c4c5b8cf0855c724fca211e89ece783560bd140c757c11cea9",  # pack
    ],
    "42d8386ce647d45594a8079a7b5391dbe50338a5c2e35b288f8b005e963ef013": [
        "ab566522005c274efe49e85262edc26aedb94e8881eccc0e110b8995e9cff997",  # challenge_shards
    ],
    "add6ea8a492d3975f5cc6eb22edb3d27f50ba517d2c5e76d1bae31e5e3009961": [
        "836dd4d3ea2156cb07e1361099869e9fe2decbcc551024abb8c19cb71ef2c1fd",  # audit
    ],
    "07f1b4bf3fce18960fde7fc6ef27ff736897c9f8b54053a2b76410e97b71d168": [
        "c3010a0eb2235c147e347c2582701d6d5448ffb5915d7605a1f3315e79aff330",  # finetune bert
        "e38651bc5bf20e2469cfe826bddd7e0eb94086489920cbeeaaed958d15f7ed8a",  # finetune d2l
        "7fd7e0ed9eb55a7d41400f0e2b789c4dc0d7c684cf6b36d3bf90e84f86628e2a",  # finetune transformer
    ],
    "6a0f3885b5b32d1be501b6b49603faa55c0c2adccac93b0264d55841b3cde3d7": [
        "12b9588c3e7619b7536184f8b44133d2752b88c4608ae9d1024627bb4e5a178b",  # finetune camembert
    ],
    "9af487176a464b83e5e91842d3538c9c87c991ae4bda0ce47d27f0a28d59df50": [
        "f5210e75b7154e331dd5ab2584a707fdf4918c9d64284b971527407dfc9f7cf2",  # finetune distilbert
    ],
    "486add13ae0e6dde400fd89d88fe739d8e616aad09359fd0f08364d8b3eacbb3": [
        "2a54fe42d0f013f5b9aaebbc35cc390e48b710204b1c776c215415438b7685de",  # finetune electra
    ],
    "41576e7efb3a31ed91168a4e280bcde19f92d8bf635fb3b7fc481e7b32e69022": [
        "6f68cd71808cb26f2be8f44ee1eac05491e38ed601357d865122150008fa533c",  # finetune modernbert
    ],
    "05c4a0f8b45a89923e843ef9ecef48e17ad932f63f76e716a1eb7be337efbc56": [
        "bc8fe010f46f6b8f2c87f1842f0d11798a82ad28f8e7682e4ccdd4294ee6b72f",  # finetune other
    ],
    "ff55860d5c56894c5fca166e591124561909eace36ad86d7d00aef4c3cc74e01": [
        "d0eddfebcf43d67d05c90aa186e5e3ec70b284ea1170490edc9bf6090225ff56",  # finetune roberta
    ],
    "cbe56243ad96be171f44c66afc20e36e782af5f5e33e8bfc0582e6499173154c": [
        "c39c6c5730b8a68d59d4d4ac7c28d39d18e1e7bc6adaa1526c8ec0f2db59a00e",  # finetune xlm_roberta
    ],
    "409a5e4222a4c74b4d760229a8ab1300e0199d71472427c6084b8e7395553b49": [
        "ea5854b53c7b725b8c64efa95c7699ee1060c4bb738f3815fe4a051b47fb9ed4",  # evaluate bert
        "7c7ce641d160c0a4a44d64e577caef32bba76399d63c7da247579f78ff2d9aec",  # evaluate d2l
        "93a747b7813667f9f6002b0c649b0c2771165a8c3148655c46ff6db1a82c0f6e",  # evaluate transformer
    ],
    "cfbec9e2996e47065b9ce4a9abcc1720b981c02256818f50d00a2ab7d73f6d1a": [
        "e5d82f9129a7b7f7496f58f51060a7d255ce58384e619180ba175abd658e34c1",  # evaluate camembert
    ],
    "965f24a61c84318cd79cea05f93eb09a0f54aef02bdf7b77de1bad12edb6962f": [
        "af6be4982e872b822940528032621d7a1620ce7bfe3db5545a0d94172e646052",  # evaluate distilbert
    ],
    "d23fce357a86f0336cd9a0401a63c25a0491a7e6fa5a4dfd496396026d6ede80": [
        "2d4ceba9d4900a1cf9908f2246352c00ccc23fc9535e1ee1d8ef31189a6e73dc",  # evaluate electra
    ],
    "dce94173e3de506724cc2d7f7dd0e917bd59322e88183583dcc62060cd474b3d": [
        "db3bba4117edf97222304e7962b3d4904d55ec418d79bcc7ccce5e01c7bca216",  # evaluate modernbert
    ],
    "9f8ec29c6358a19ff6b4b002569a35049a6a090d2ae05ee9625d08482aa2310a": [
        "9c2d0dbf194e63c5746728cd1bebc72cf0679cefc1145e7998741b56fa0a2c13",  # evaluate other
    ],
    "4a4d345c929849a1507490e51af96546157978b56b65bca553e66da41ba8f9cb": [
        "f15943c9967726b555a844089e34ee6e1e0986e5ddf290d421ccb98993a94754",  # evaluate roberta
    ],
    "48a84f94778250ff14d1f8826854fa7e472125f38c57bd3219cbc904b06d3630": [
        "ac04507895a0cb5b2ccfb306fe592c7e5f92160eab1a05f9b159137bad0786ff",  # evaluate xlm_roberta
    ],
}
SAME_RESULTS: Mapping[str, str] = {code: earlier for earlier, codes in _REPEATED.items() for code in codes}
