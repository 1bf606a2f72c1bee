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
        "a949e964c48c0840eb94b7774ebda368d876250d8b3f98d8df6e511f2ab39516",  # corpus files
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
        "dc13cb64cab5dd851f019595891aeb4a06bf8256c50a267f14dd6f0c4a6e0f48",  # evaluate bert
        "a6cec3a9177bf6a3e330659c02b68f5a588cd4a45de7c112f77bd2864064dfac",  # evaluate d2l
        "8a7d5fddf77990e9ad17c3267be44d08fc0027ffcaa85345d33137e95fddc8f8",  # evaluate transformer
    ],
    "cfbec9e2996e47065b9ce4a9abcc1720b981c02256818f50d00a2ab7d73f6d1a": [
        "d70dbe08153e3e71e6cd6c4997d607325f9e4e8cc5239de23f89826124d5d52d",  # evaluate camembert
    ],
    "965f24a61c84318cd79cea05f93eb09a0f54aef02bdf7b77de1bad12edb6962f": [
        "267b1beae1ee5bc6cae7a68c97e2e2ff346763c18b2b35f248d9cee519ba61a8",  # evaluate distilbert
    ],
    "d23fce357a86f0336cd9a0401a63c25a0491a7e6fa5a4dfd496396026d6ede80": [
        "0544c7848f82bf08d9b043c5e8391128b89f81f094781c4c65b0ebf57138b50a",  # evaluate electra
    ],
    "dce94173e3de506724cc2d7f7dd0e917bd59322e88183583dcc62060cd474b3d": [
        "067de7070f6a34596adfec1836bf59e74a9b7337f76807c175adec204a37f03a",  # evaluate modernbert
    ],
    "9f8ec29c6358a19ff6b4b002569a35049a6a090d2ae05ee9625d08482aa2310a": [
        "5953aafcc3386419ad17edb60885abc8b748741346e6733f617b6428a224e0dd",  # evaluate other
    ],
    "4a4d345c929849a1507490e51af96546157978b56b65bca553e66da41ba8f9cb": [
        "c398eb4c31e3f8ecbbfc1af6c57dd8d9c5205d69957f47836025ecedf1cf55d9",  # evaluate roberta
    ],
    "48a84f94778250ff14d1f8826854fa7e472125f38c57bd3219cbc904b06d3630": [
        "fd64ae748dec1e07a33b7e577348103b1ec9466e25aaa77eddf683213df69da1",  # evaluate xlm_roberta
    ],
}
SAME_RESULTS: Mapping[str, str] = {code: earlier for earlier, codes in _REPEATED.items() for code in codes}
