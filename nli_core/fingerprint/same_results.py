"""Code whose results are those of earlier code, byte for byte: its outputs keep their keys, and nothing reruns.

A release that changes the code behind an output, but not the output, adds to `_REPEATED`: under the digest of the code
whose results it repeats, that of the new code. `tests/reliability/test_same_results.py` runs both and compares bytes.
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
        "9f03f96bd57859c115f30fce86e4d4d1c876bf8dc9da78a0b22f13d74b342f34",  # corpus files
    ],
    "15e2b16189177d6d0a3f2f190e3b64a9208f22c47861114cdfa1f061569a0dab": [
        "d32347af285bb2cf574a9f9c2b93d6316e877a5bffcf808d25072731da9e33e9",  # pack
    ],
    "42d8386ce647d45594a8079a7b5391dbe50338a5c2e35b288f8b005e963ef013": [
        "ac6d3cb0bc6c391886889c5adb1c2d939cd4c08c4ef1c1e9c7270aa4a4e987d7",  # challenge_shards
    ],
    "add6ea8a492d3975f5cc6eb22edb3d27f50ba517d2c5e76d1bae31e5e3009961": [
        "f73343293d5879cb687388f66b17c9e7a94495010651938cf9ada7fda740b269",  # audit
    ],
    "07f1b4bf3fce18960fde7fc6ef27ff736897c9f8b54053a2b76410e97b71d168": [
        "7fcb8e66accac51bd0f3001d27ca8805257cb78b43ee8c54ba73062eaeb81340",  # finetune bert
        "fcf9d1ea557922ffbfd5df528d325a22557cbbecda7dc4388b884c9b27000177",  # finetune d2l
        "e351a5ed23ec1f1d9ec52d948d1c00d24433a0711262cf3fd21a824430934637",  # finetune transformer
    ],
    "6a0f3885b5b32d1be501b6b49603faa55c0c2adccac93b0264d55841b3cde3d7": [
        "4bd6717b983a5678170cd3d66e141d92751d196b9330443918b3d8888df3e548",  # finetune camembert
    ],
    "9af487176a464b83e5e91842d3538c9c87c991ae4bda0ce47d27f0a28d59df50": [
        "6b834bd7ef0ec851c7ea05b748330da80b9c4597425af2fc162fa34bdfd090a7",  # finetune distilbert
    ],
    "486add13ae0e6dde400fd89d88fe739d8e616aad09359fd0f08364d8b3eacbb3": [
        "f58ba7b4070d9b9939ca5ecf9f6ad249db3295522644049d9c62500faa01189f",  # finetune electra
    ],
    "41576e7efb3a31ed91168a4e280bcde19f92d8bf635fb3b7fc481e7b32e69022": [
        "4784a94e588ca196488c19bbe3c744b76bc92b490bf115d6f39264be04d9c4ec",  # finetune modernbert
    ],
    "05c4a0f8b45a89923e843ef9ecef48e17ad932f63f76e716a1eb7be337efbc56": [
        "ae6ca1289a78928430667e1841f04c34c22694a4d6eaf6110b4c4279cae53d2a",  # finetune other
    ],
    "ff55860d5c56894c5fca166e591124561909eace36ad86d7d00aef4c3cc74e01": [
        "ae0f888c4094565ca0d90fe9882c6923e9e4efb73a15bb2cdb887061f299357a",  # finetune roberta
    ],
    "cbe56243ad96be171f44c66afc20e36e782af5f5e33e8bfc0582e6499173154c": [
        "2e18b0153ccfab786fba0277562fe92f1321f700370f88853d3e9807486a26c8",  # finetune xlm_roberta
    ],
    "409a5e4222a4c74b4d760229a8ab1300e0199d71472427c6084b8e7395553b49": [
        "26565ee0a98a0f05cce0e4ca8d992ae01795462245a25aecb924b502390e9cd6",  # evaluate bert
        "79107791316e4578b103bc7292e9eaea50608d21ac99f3c481a56b4dfc7c0559",  # evaluate d2l
        "ef8e73cdab0c7a4577af1d6f9595b2cd196618d710605aaff0c9f4f03267ed7f",  # evaluate transformer
    ],
    "cfbec9e2996e47065b9ce4a9abcc1720b981c02256818f50d00a2ab7d73f6d1a": [
        "ecb8036f7c00cfe5b01da0c244f066408a08fa8667606d8ff9a7aa724efe8338",  # evaluate camembert
    ],
    "965f24a61c84318cd79cea05f93eb09a0f54aef02bdf7b77de1bad12edb6962f": [
        "31063545e1547ca8305c9e1f26aabf60362bb0bc19e9f33879000168fecf9652",  # evaluate distilbert
    ],
    "d23fce357a86f0336cd9a0401a63c25a0491a7e6fa5a4dfd496396026d6ede80": [
        "b22e5b48d63d39c2fdb599ff0f9e364254016bfe3ceab094d95e7bf5827095a7",  # evaluate electra
    ],
    "dce94173e3de506724cc2d7f7dd0e917bd59322e88183583dcc62060cd474b3d": [
        "ce2165337fac72fc550384778062e9adce26e7055959af4467d7225f99a60c92",  # evaluate modernbert
    ],
    "9f8ec29c6358a19ff6b4b002569a35049a6a090d2ae05ee9625d08482aa2310a": [
        "85076e33f81280932dcb11775fafb85560faa1b275b0932f468d351c358a7ed9",  # evaluate other
    ],
    "4a4d345c929849a1507490e51af96546157978b56b65bca553e66da41ba8f9cb": [
        "74ba73b2178952e7d93fa28a3e77bf500d16c1b9410981925e0a7f26d26b4da0",  # evaluate roberta
    ],
    "48a84f94778250ff14d1f8826854fa7e472125f38c57bd3219cbc904b06d3630": [
        "f80911e8dca513905d0fd664035b5233e9f2107c3f7dd2d9b817b809a529a26b",  # evaluate xlm_roberta
    ],
}
SAME_RESULTS: Mapping[str, str] = {code: earlier for earlier, codes in _REPEATED.items() for code in codes}
