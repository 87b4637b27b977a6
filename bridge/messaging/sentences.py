"""What the service itself writes: that a conversation is stopped, and that it goes on.

Pure data by ISO 639-1; a language without a sentence gets the English one.
"""

STOPPED = {
    "ar": "لن نرسل إليكم رسائل بعد الآن. للاستئناف اكتبوا START.",
    "de": "Sie erhalten keine Nachrichten mehr von uns. Wenn Sie START schreiben, "
    "antworten wir wieder.",
    "en": "You will get no more messages from us. Write START and we answer again.",
    "es": "No recibirá más mensajes nuestros. Escriba START y volveremos a responder.",
    "fr": "Vous ne recevrez plus de messages de notre part. Écrivez START pour "
    "reprendre la conversation.",
    "he": "לא נשלח לכם עוד הודעות. כדי לחדש את השיחה כתבו START.",
    "it": "Non riceverà più messaggi da noi. Scriva START per riprendere.",
    "nl": "U krijgt geen berichten meer van ons. Schrijf START en wij antwoorden weer.",
    "pl": "Nie będziemy już wysyłać wiadomości. Napisz START, aby wznowić rozmowę.",
    "pt": "Não receberá mais mensagens nossas. Escreva START para retomar a conversa.",
    "ru": "Мы больше не будем вам писать. Напишите START, и мы снова ответим.",
    "tr": "Size artık mesaj göndermeyeceğiz. Yeniden başlamak için START yazın.",
    "uk": "Ми більше не надсилатимемо вам повідомлень. Напишіть START, щоб продовжити.",
}
STARTED = {
    "ar": "أهلا بعودتكم. كيف يمكننا مساعدتكم؟",
    "de": "Willkommen zurück. Was können wir für Sie tun?",
    "en": "Welcome back. What can we do for you?",
    "es": "Bienvenido de nuevo. ¿En qué podemos ayudarle?",
    "fr": "Bon retour. Que pouvons-nous faire pour vous ?",
    "he": "שמחים שחזרתם. במה נוכל לעזור?",
    "it": "Bentornato. Cosa possiamo fare per lei?",
    "nl": "Welkom terug. Wat kunnen wij voor u doen?",
    "pl": "Witamy ponownie. W czym możemy pomóc?",
    "pt": "Bem-vindo de volta. Em que podemos ajudar?",
    "ru": "С возвращением. Чем мы можем помочь?",
    "tr": "Tekrar hoş geldiniz. Size nasıl yardımcı olabiliriz?",
    "uk": "З поверненням. Чим ми можемо допомогти?",
}


def in_language(sentences: dict[str, str], language: str) -> str:
    """Return the sentence in a language; tags such as pt-BR count by their language."""
    return sentences.get(language.partition("-")[0], sentences["en"])
